# SPDX-License-Identifier: Apache-2.0
"""Verilog that runs without Python: it passes, and it finds what is wrong."""

import re
from functools import cache

import numpy as np
import pytest

from stemcore.folders import results
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.export import node_verilog
from stemcore.runtime.host.host_sides import HostSides
from stemcore.runtime.host.verilog_bench import ports_note, run_bench_verilog, write_bench
from stemcore.runtime.settings import Settings
from stemcore.runtime.toolchain import ToolError
from stemcore.runtime.toolchain.icarus import compile_verilog
from stemcore.runtime.write_verilog import write_verilog
from tests.support.chip_programs import stepped_case
from tests.support.hand_programs import conv_chain_program
from tests.support.random_networks import random_images

CODEC = CodecParams(n_values=512, n_outputs=512)
OUT = results() / "verilog-tests"
SIMULATORS = ("icarus", "verilator")


@pytest.fixture
def chain(rng):
    program, network = conv_chain_program(5)
    images = random_images(rng, network, 3)
    return program, images, run_network(network, images)[program.output]


def flip_bit(folder, memory, params):
    """Changes one bit of the first weight that is written to the first core."""
    formats = Formats(params)
    path = folder / "config.hex"
    lines = path.read_text().splitlines()
    in_memory = False
    for n, line in enumerate(lines):
        if line.startswith("//"):
            continue
        fields = formats.flit.unpack(int(line, 16))
        if fields["kind"] == Kind.ADDRESS:
            in_memory = formats.pointer.unpack(fields["payload"])["memory"] == memory
        elif in_memory:
            fields["payload"] ^= 1 << 6
            lines[n] = f"{formats.flit.pack(**fields):0{len(line)}x}"
            break
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize(
    "simulator",
    [pytest.param(s, marks=pytest.mark.long if s == "verilator" else ()) for s in SIMULATORS],
)
def test_bench_passes_and_fails_with_a_flipped_weight(simulator, chain):
    program, images, expected = chain
    folder = write_bench(program, images, OUT / simulator, expected=expected)
    # All files state a time scale or none does (IEEE 1800-2017, 3.14.2.3).
    files = ("bench.v", "chip.v", "node.v")
    assert all((folder / name).read_text().count("`timescale 1ns/1ps") == 1 for name in files)
    output = run_bench_verilog(folder, simulator)
    assert output.count("PASS image") == 3
    assert "PASS: 3 images" in output
    flip_bit(folder, Memory.WEIGHT, program.params)
    with pytest.raises(
        ToolError,
        match=r"(?s)FAIL image \d: dense, neuron \(channel \d, row 0, column 0\)"
        r": expected -?\d+, got -?\d+; \d of 3 differ",
    ):
        run_bench_verilog(folder, simulator)


@pytest.mark.sim
@pytest.mark.slow
def test_bench_plays_time_steps():
    network, program, images = stepped_case("late")
    expected = run_network(network, images)[program.output]
    folder = write_bench(program, images, OUT / "late", expected=expected)
    assert f"PASS: {len(images)} images" in run_bench_verilog(folder, "icarus")


@pytest.mark.long
@pytest.mark.sim
@pytest.mark.slow
def test_digits_cnn_passes_as_plain_verilog():
    folder = write_verilog(Settings(model="digits_cnn", preset="ecp5"), n_images=2)
    assert "PASS: 2 images" in run_bench_verilog(folder, "verilator")


@pytest.mark.sim
@pytest.mark.slow
def test_bench_says_what_stands_still(chain):
    program, images, expected = chain
    folder = write_bench(program, images, OUT / "still", expected=expected)
    path = folder / "config.hex"
    # Without its START the core of the last layer does nothing.
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    bench = (folder / "bench.v").read_text()
    n = sum(not line.startswith("//") for line in path.read_text().splitlines())
    (folder / "bench.v").write_text(bench.replace(f"N_CONFIG = {n + 1};", f"N_CONFIG = {n};"))
    with pytest.raises(
        ToolError,
        match=r"(?s)0 of 3 images have come out, and no flit has moved.*"
        r"node \(0, 2\) +dense: at rest, 0 flits sent",
    ):
        run_bench_verilog(folder, "icarus")


@pytest.fixture
def converted_once(monkeypatch):
    """The gateware of one chip is turned into Verilog a single time, and kept for the next test."""
    monkeypatch.setattr("stemcore.runtime.host.verilog_bench.node_verilog", node_verilog_once)


node_verilog_once = cache(node_verilog)


@pytest.mark.usefixtures("converted_once")
def test_folder_is_written_whole_or_not_at_all(chain, tmp_path):
    program, images, expected = chain
    folder = write_bench(program, images, tmp_path / "chip", expected=expected)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    states = {"core.axon_out.phase", "core.control.phase", "core.flow.list"}
    words = {"causes", "kind", "memory"} | {f"{name}_state" for name in states}
    assert names == {
        *(f".surfer/mappings/stemcore_{word}.txt" for word in words),
        *(f"waves/{word}.txt" for word in words),
        "bench.gtkw",
        "node.v",
        "node_blackbox.v",
        "lint.vlt",
        "chip.v",
        "bench.v",
        "config.hex",
        "image.hex",
        "credit.hex",
        "expected.hex",
        "README.txt",
        "PORTS.txt",
    }
    before = (folder / "image.hex").read_bytes()
    with pytest.raises(ValueError, match=r"^encode: values must lie in 0\.\.255"):
        write_bench(program, images + 256, folder, expected=expected)
    assert (folder / "image.hex").read_bytes() == before
    write_bench(program, images[:1], folder, expected=expected[:1])
    assert (folder / "image.hex").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["chip"]


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.usefixtures("converted_once")
@pytest.mark.parametrize(
    ("sides", "kind", "stated"),
    [
        (HostSides(axi=32), "axi", "AXI4-Stream, 32 bits"),
        (HostSides(axi=64), "axi", "AXI4-Stream, 64 bits"),
        (HostSides(uart=25), "uart", "25 cycles of clk each"),
        (HostSides(mapped=True), "mapped", "0x08  SEND"),
        (HostSides(axi=64, codec=CODEC), "axi", "images and outputs as bytes"),
    ],
)
def test_a_chip_behind_a_host_side_is_written_beside(chain, tmp_path, sides, kind, stated):
    """Both notes have what it is, every port, and no other host side; Icarus elaborates it."""
    program, images, expected = chain
    plain = write_bench(program, images, tmp_path / "plain", expected=expected)
    folder = write_bench(program, images, tmp_path / "more", expected=expected, sides=sides)
    more = {f"{kind}_chip.v", "stemcore_registers.h"}
    more |= {"codec.hex", "codec_image.hex"} if sides.codec else set()
    assert {p.name for p in folder.iterdir()} == {p.name for p in plain.iterdir()} | more
    readme, ports = ((folder / name).read_text() for name in ("README.txt", "PORTS.txt"))
    assert all(name in readme for name in more)
    assert stated in ports
    assert re.findall(r"Ports of module (\w+)", ports) == ["node", "chip", f"{kind}_chip"]
    text = (folder / f"{kind}_chip.v").read_text()
    note = ports[ports.index(f"{kind}_chip") :]
    header = text[text.index(f"\nmodule {kind}_chip(") :]
    for port in re.findall(r"(?m)^  (?:input|output) (?:\[\d+:0\] )?(\w+),?$", header):
        assert re.search(rf"\b({port}|{port.rpartition('_')[0]}_\*)", note), port
    sources = [folder / name for name in (f"{kind}_chip.v", "chip.v", "node.v")]
    compile_verilog(sources, top=f"{kind}_chip", out_dir=tmp_path)


@pytest.mark.parametrize("divisor", [-1, 0, 7])
def test_a_bit_of_too_few_cycles_is_refused(divisor):
    message = rf"^uart: a bit must last 8 cycles of the clock or more, got {divisor}; divide the"
    with pytest.raises(ValueError, match=message):
        HostSides(uart=divisor)


def test_a_codec_without_a_host_side_is_refused():
    with pytest.raises(ValueError, match=r"^codec: must lie in a host side, none came; ask for"):
        HostSides(codec=CodecParams())


@pytest.mark.medium
def test_a_codec_without_room_leaves_nothing(chain, tmp_path):
    program, images, expected = chain
    sides = HostSides(uart=25, codec=CodecParams(n_values=8, n_outputs=8))
    with pytest.raises(ValueError, match=r"the spike codec has room for 8 values of a sample, "):
        write_bench(program, images, tmp_path / "chip", expected=expected, sides=sides)
    assert not list(tmp_path.iterdir())


def test_same_program_writes_the_same_bytes(chain, tmp_path):
    program, images, expected = chain
    folders = [write_bench(program, images, tmp_path / n / "chip", expected=expected) for n in "ab"]
    for path in (path for path in folders[0].rglob("*") if path.is_file()):
        name = path.relative_to(folders[0])
        assert path.read_bytes() == (folders[1] / name).read_bytes(), name


@pytest.mark.usefixtures("converted_once")
def test_expected_values_default_to_those_of_the_program(chain, tmp_path):
    program, images, expected = chain
    folder = write_bench(program, images, tmp_path / "chip")
    words = [
        int(line, 16)
        for line in (folder / "expected.hex").read_text().splitlines()
        if not line.startswith("//")
    ]
    np.testing.assert_array_equal(words, expected.reshape(-1) & 255)


def test_ports_note_states_the_flits_bits():
    note = ports_note(get_preset("tiny"))
    assert "A flit, 47 bits" in note
    assert "[46:15]    payload" in note


def test_unknown_simulator_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^simulator must be 'icarus' or 'verilator', not 'vcs'$"):
        run_bench_verilog(tmp_path, "vcs")
