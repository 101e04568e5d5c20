# SPDX-License-Identifier: Apache-2.0
"""Projects for the vendor's tool: what can be checked without it."""

import json
import re
import sys
import types
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from stemcore.golden.spec.block_ram import ULTRA_SHAPES, WEIGHTS, node_memories
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.host_registers import HOST_REGISTERS, IDENTITY
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.boards.board import get_board
from stemcore.hdl.core.memory import ConfigMemory
from stemcore.hdl.export import export, node_verilog
from stemcore.runtime.fpga.build import make_design
from stemcore.runtime.fpga.ip_xact import SPIRIT, component_xml, module_ports
from stemcore.runtime.fpga.vendor import (
    MAX_VCO_MHZ,
    MIN_VCO_MHZ,
    cells_of,
    find_mmcm,
    next_steps,
    project_files,
)
from stemcore.runtime.toolchain.yosys import run_yosys

NS = {"s": SPIRIT}
AXI_CHIP = """
module axi_chip(
  input aclk,
  input aresetn,
  input chip_clk,
  output interrupt,
  input [2:0] s_axil_awprot,
  input [11:0] s_axil_awaddr,
  input s_axis_tvalid,
  output s_axis_tready,
  output [63:0] m_axis_tdata
);
  wire [3:0] inside;
endmodule
"""


def text_of(element, path):
    return element.find("/".join(f"s:{tag}" for tag in path.split("/")), NS).text


def test_ip_block_describes_every_port_once():
    ports = module_ports(AXI_CHIP, "axi_chip")
    root = ET.fromstring(component_xml(ports, name="n", top="axi_chip", files=["a.v", "b.v"]))
    described = {
        text_of(port, "name"): (
            text_of(port, "wire/direction"),
            1
            if port.find("s:wire/s:vector", NS) is None
            else int(text_of(port, "wire/vector/left")) + 1,
        )
        for port in root.findall("s:model/s:ports/s:port", NS)
    }
    assert described == {p.name: (p.direction.removesuffix("put"), p.width) for p in ports}
    assert described["m_axis_tdata"] == ("out", 64) and described["aclk"] == ("in", 1)
    mapped = [e.text for e in root.findall(".//s:physicalPort/s:name", NS)]
    assert sorted(mapped) == sorted(described)
    buses = {text_of(b, "name"): b for b in root.findall("s:busInterfaces/s:busInterface", NS)}
    assert buses["m_axis"].find("s:master", NS) is not None
    for name in ("s_axil", "s_axis", "aclk", "aresetn"):
        assert buses[name].find("s:slave", NS) is not None
    logical = [e.text for e in buses["s_axil"].findall(".//s:logicalPort/s:name", NS)]
    assert logical == ["AWPROT", "AWADDR"]
    for files in root.findall("s:fileSets/s:fileSet", NS):
        assert [text_of(file, "name") for file in files.findall("s:file", NS)] == ["a.v", "b.v"]
    assert len(root.findall("s:fileSets", NS)) == 1


def test_module_that_is_not_there_is_told():
    with pytest.raises(ValueError, match=r"^module chip: must be in the Verilog, it is not$"):
        module_ports(AXI_CHIP, "chip")


@pytest.mark.parametrize("mhz", [50, 75, 87.5, 100, 120, 150, 200])
def test_clock_manager_stays_within_its_limits(mhz):
    found = find_mmcm(100, mhz)
    assert abs(found.mhz - mhz) <= mhz / 20
    assert MIN_VCO_MHZ <= 100 * found.multiplier <= MAX_VCO_MHZ and 1 <= found.divider <= 128


def test_clock_that_the_manager_cannot_make_is_refused():
    with pytest.raises(ValueError, match=r"^clock: must be a frequency .*; got 2 MHz$"):
        find_mmcm(100, 2)


def test_cells_count_halves_of_block_memories():
    counts = {
        "RAM32M": 2,
        "LUT2": 3,
        "LUT6": 4,
        "FDRE": 5,
        "RAMB18E1": 3,
        "RAMB36E1": 2,
        "DSP48E1": 1,
    }
    found = cells_of({"design": {"num_cells_by_type": counts}})
    assert found["LUT"] == 7 and found["FF"] == 5 and found["BRAM36"] == 3.5
    assert found["LUT of RAM"] == 8
    assert found["DSP"] == 1 and found["URAM"] == 0


@pytest.fixture(scope="module")
def kria():
    """A small chip, so that it is written fast: the texts are those of any."""
    return project_files(make_design("kv260", preset="tiny", nodes=(2, 1)))


@pytest.mark.slow
def test_weights_are_in_ultra_rams_where_the_part_has_them(kria):
    assert kria["node.v"].count('ram_style = "ultra"') == 1
    (memory,) = re.findall(r'ram_style = "ultra" \*\)\n  reg (.*);', kria["node.v"])
    (weights,) = (m for m in node_memories(get_preset("tiny")) if m.name == WEIGHTS)
    assert memory == f"[{weights.width - 1}:0] ram [{weights.words - 1}:0]"
    assert 'ram_style = "ultra"' not in node_verilog(get_preset("tiny"))


@pytest.mark.sim
@pytest.mark.slow
def test_weights_of_kria_are_mapped_to_ultra_rams(tmp_path):
    """Half as many words, which are two UltraRAMs deep."""
    params = get_preset("kria").with_(n_weight_words=8192)
    memory = ConfigMemory(params=params, memory=Memory.WEIGHT, registered=True)
    (tmp_path / "weights.v").write_text(export(memory, name="weights", ultra=["weights"]).verilog)
    run_yosys(
        f"read_verilog weights.v\nsynth_xilinx {get_board('kv260').synthesis} -run :map_ffram\n"
        "tee -q -o stat.json stat -json",
        cwd=tmp_path,
    )
    cells = json.loads((tmp_path / "stat.json").read_text())["design"]["num_cells_by_type"]
    (weights,) = (m for m in node_memories(params) if m.name == WEIGHTS)
    # Yosys lays words across the borders of UltraRAMs, 72 bits to each.
    least = -(-weights.bits // (4096 * 72))
    assert least <= cells["URAM288"] <= weights.blocks(ULTRA_SHAPES)
    assert not [name for name in cells if name.startswith(("RAMB", "$mem"))]


def fake_pynq(words):
    """A module ``pynq`` whose chip answers each transfer with what it was sent."""

    class Channel:
        transferred = 0

        def transfer(self, buffer, nbytes=None):
            self.buffer, self.nbytes = buffer, nbytes
            sent.append(None if nbytes is None else buffer[: nbytes // 8].copy())

        def wait(self):
            pass

    class Registers:
        def read(self, offset):
            return words.get(offset, 0)

        def write(self, offset, value):
            words[offset] = value

    class Overlay:
        def __init__(self, path):
            self.path = path
            self.chip = Registers()
            self.dma = types.SimpleNamespace(sendchannel=Channel(), recvchannel=Channel())

    sent = []
    module = types.ModuleType("pynq")
    module.Overlay, module.sent = Overlay, sent
    module.allocate = lambda shape, dtype: np.zeros(shape, dtype)
    return module


def load_overlay(text, monkeypatch, words):
    pynq = fake_pynq(words)
    monkeypatch.setitem(sys.modules, "pynq", pynq)
    names = {"__file__": "/home/u/stemcore_overlay.py", "__name__": "overlay"}
    exec(compile(text, "stemcore_overlay.py", "exec"), names)
    return names, pynq


@pytest.mark.slow
def test_overlay_moves_flits_and_knows_its_registers(kria, monkeypatch):
    words = {HOST_REGISTERS["IDENTITY"].offset: IDENTITY}
    names, pynq = load_overlay(kria["stemcore_overlay.py"], monkeypatch, words)
    assert names["REGISTERS"] == {r.name: r.offset for r in HOST_REGISTERS.values()}
    chip = names["Chip"]()
    assert chip.overlay.path == "/home/u/kv260.bit"
    flits = np.arange(names["MAX_FLITS"] + 3, dtype=np.uint64)
    chip.send(flits)
    assert [part.size for part in pynq.sent] == [names["MAX_FLITS"], 3]
    assert np.array_equal(np.concatenate(pynq.sent), flits)
    chip.send([])
    assert len(pynq.sent) == 2
    chip.listen()
    receiver = chip.overlay.dma.recvchannel
    receiver.buffer[:2] = [7, 1 << 63]
    receiver.transferred = 16
    assert chip.receive().tolist() == [7, 1 << 63]
    chip.write("SAMPLE_ENDS", 5)
    assert chip.read("SAMPLE_ENDS") == 5


@pytest.mark.slow
def test_overlay_refuses_another_bitstream(kria, monkeypatch):
    names, _ = load_overlay(kria["stemcore_overlay.py"], monkeypatch, {})
    with pytest.raises(RuntimeError, match=r"^IDENTITY must be 0x4d455453, got 0x00000000$"):
        names["Chip"]()


@pytest.mark.slow
def test_block_design_names_what_the_block_has(kria):
    script = kria["build.tcl"]
    root = ET.fromstring(kria["ip/stemcore_chip/component.xml"])
    buses = {text_of(b, "name") for b in root.findall("s:busInterfaces/s:busInterface", NS)}
    used = set(re.findall(r"\bchip/(\w+)", script))
    assert used == buses
    vlnv = ":".join(text_of(root, tag) for tag in ("vendor", "library", "name", "version"))
    assert f"-vlnv {vlnv} chip" in script and "xck26-sfvc784-2LV-c" in script
    ports = {p.name for p in module_ports(kria["axi_chip.v"], "axi_chip")}
    assert ports == {text_of(p, "name") for p in root.findall("s:model/s:ports/s:port", NS)}
    # Tcl's braces and brackets, each closed.
    for opening, closing in ("{}", "[]"):
        assert script.count(opening) == script.count(closing)


@pytest.mark.slow
def test_project_with_pins_is_whole(tmp_path):
    files = project_files(make_design("arty_a7", preset="tiny", nodes=(2, 1)))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    ports = set(re.findall(r"(?:input|output) (\w+)", files["top.v"].split(");")[0]))
    assert set(re.findall(r"PACKAGE_PIN \w+ .*\[get_ports (\w+)\]", files["top.xdc"])) == ports
    sites = re.findall(r"PACKAGE_PIN (\w+)", files["top.xdc"])
    assert len(set(sites)) == len(sites) == 7 and "E3" in sites
    read = re.findall(r"\$here/(\w+\.v)", files["build.tcl"])
    assert sorted(read) == sorted(name for name in files if name.endswith(".v"))
    # Every module and every port that is connected is there.
    log = run_yosys(
        f"read_verilog {' '.join(read)}\n"
        "read_verilog -lib +/xilinx/cells_xtra.v +/xilinx/cells_sim.v\n"
        "hierarchy -check -top top\nproc\ncheck -assert",
        cwd=tmp_path,
    )
    assert "Found and reported 0 problems" in log


def test_next_steps_of_both_ways(tmp_path):
    model = {"model": "lenet5", "dataset": "mnist", "cores": 12}
    make, load, run = next_steps(make_design("arty_a7"), tmp_path, model)
    assert make == f"(cd {tmp_path} && vivado -mode batch -source build.tcl)"
    assert load == f"openFPGALoader --board arty_a7_100t {tmp_path}/arty_a7.bit"
    assert run == (
        "make sim MODEL=lenet5 PRESET=artix DATASET=mnist CORES_ON_CHIP=4 SIM=fpga "
        "PORT=/dev/ttyUSB0"
    )
    assert "stemcore_overlay.py" in next_steps(make_design("kv260"), tmp_path, model)[1]
