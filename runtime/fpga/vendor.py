# SPDX-License-Identifier: Apache-2.0
"""Projects for Xilinx' own tool, which is not here: Verilog, constraints, scripts, an IP block."""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from stemcore.files import write_whole
from stemcore.folders import results
from stemcore.golden.spec.host_registers import HOST_REGISTERS, IDENTITY
from stemcore.hdl.boards.board import HOST_MHZ, Board
from stemcore.hdl.export import chip_verilog, component_verilog, node_verilog
from stemcore.hdl.host.export import axi_host_verilog

from ..toolchain.process import built_once, content_key
from ..toolchain.yosys import run_yosys
from .build import run_command
from .ip_xact import LIBRARY, VENDOR, VERSION, component_xml, module_ports
from .synthesis import Design, versions

TEMPLATES = Path(__file__).parent / "templates"
STREAM_WIDTH = 64
IP_NAME = "stemcore_chip"
# MMCME2 of 7 series, slowest grade.
MIN_VCO_MHZ, MAX_VCO_MHZ = 600, 1200
# Cells of Yosys' mapping by what they take: a RAMB18 is half a block of 36 Kbit, a RAM of lookup
# tables several of them.
KINDS = {
    "LUT": {f"LUT{n}": 1.0 for n in range(1, 7)},
    "FF": dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE"), 1.0),
    "LUT of RAM": {"RAM32M": 4.0, "RAM64M": 4.0, "RAM32M16": 8.0, "RAM64M8": 8.0, "RAM32X1D": 2.0},
    "CARRY": dict.fromkeys(("CARRY4", "CARRY8"), 1.0),
    "BRAM36": {"RAMB36E1": 1.0, "RAMB18E1": 0.5, "RAMB36E2": 1.0, "RAMB18E2": 0.5},
    "URAM": {"URAM288": 1.0},
    "DSP": dict.fromkeys(("DSP48E1", "DSP48E2"), 1.0),
}


@dataclass(frozen=True)
class Mmcm:
    """Dividers of a 7 series clock manager: output = input * multiplier / divider."""

    input_mhz: float
    multiplier: int
    divider: int

    @property
    def mhz(self) -> float:
        """Frequency of the output."""
        return self.input_mhz * self.multiplier / self.divider


def find_mmcm(input_mhz: float, mhz: float) -> Mmcm:
    """The dividers whose output comes nearest to ``mhz``; ``ValueError`` for none within 5 %."""
    found = [
        Mmcm(input_mhz, multiplier, divider)
        for multiplier in range(2, 65)
        if MIN_VCO_MHZ <= input_mhz * multiplier <= MAX_VCO_MHZ
        for divider in {max(1, min(128, round(input_mhz * multiplier / mhz)))}
    ]
    best = min(found, key=lambda mmcm: abs(mmcm.mhz - mhz), default=None)
    if best is None or abs(best.mhz - mhz) > mhz / 20:
        raise ValueError(
            f"clock: must be a frequency that the clock manager makes of {input_mhz:g} MHz within "
            f"5 %, {MIN_VCO_MHZ / 128:g} to {MAX_VCO_MHZ} MHz; got {mhz:g} MHz"
        )
    return best


def project_files(design: Design) -> dict[str, str]:
    """Texts of a project by path: of a board with pins, or of one with a processor system."""
    files = {
        "node.v": _node(design),
        "chip.v": chip_verilog(design.params, columns=design.columns, rows=design.rows),
    }
    files |= _with_pins(design) if design.board.platform else _with_processor(design)
    return files


def _node(design: Design) -> str:
    """The weights lie in UltraRAM where the board's count of nodes puts them."""
    return node_verilog(design.params, ultra_weights=design.board.ultra_blocks > 0)


def _fill(name: str, board: Board, **values: object) -> str:
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    return Template(text).substitute(title=board.title, name=board.name, part=board.part, **values)


def _with_pins(design: Design) -> dict[str, str]:
    from stemcore.hdl.host.board_top import BoardCore, baud_divisor, get_platform

    board = design.board
    platform = get_platform(board)
    input_mhz = platform.default_clk_frequency / 1e6
    mmcm = find_mmcm(input_mhz, design.clock_mhz)
    core = BoardCore(
        params=design.params,
        columns=design.columns,
        rows=design.rows,
        divisor=baud_divisor(HOST_MHZ, design.baud),
        codec=design.codec,
    )
    clock, reset = platform.default_clk, platform.default_rst
    pins = {clock: _pin(platform, clock), reset: _pin(platform, reset)}
    pins |= {f"uart_{name}": _pin(platform, "uart", part=name) for name in ("rx", "tx")}
    lights = ("led_running", "led_error", "led_done")
    pins |= {name: _pin(platform, "led", number) for number, name in enumerate(lights)}
    inverted = platform.lookup(reset).ios[0].invert
    return {
        "board_core.v": component_verilog(core, name="board_core"),
        "top.v": _fill(
            "mmcm_top.v",
            board,
            clock_port=clock,
            reset_port=reset,
            reset_active=f"~{reset}" if inverted else reset,
            input_mhz=f"{input_mhz:g}",
            input_ns=f"{1e3 / input_mhz:.3f}",
            multiplier=mmcm.multiplier,
            divider=mmcm.divider,
            host_divider=round(input_mhz * mmcm.multiplier / HOST_MHZ),
            host_mhz=f"{HOST_MHZ:g}",
            clock_mhz=f"{mmcm.mhz:g}",
        ),
        "top.xdc": _constraints(pins, clock, 1e3 / input_mhz),
        "build.tcl": _fill("project.tcl", board, clock_mhz=f"{mmcm.mhz:g}"),
    }


def _pin(platform: Any, name: str, number: int = 0, part: str | None = None) -> tuple[str, str]:
    """Site and standard of a resource's only pin."""
    resource = platform.lookup(name, number)
    io = resource
    if part is not None:
        (io,) = (sub for sub in resource.ios if sub.name == part)
    return io.ios[0].names[0], resource.attrs.get("IOSTANDARD", "LVCMOS33")


def _constraints(pins: dict[str, tuple[str, str]], clock: str, period_ns: float) -> str:
    lines = [
        f"set_property -dict {{PACKAGE_PIN {site} IOSTANDARD {standard}}} [get_ports {port}]"
        for port, (site, standard) in pins.items()
    ]
    lines.append(f"create_clock -name {clock} -period {period_ns:.3f} [get_ports {clock}]")
    asynchronous = [port for port in pins if port != clock]
    inputs = [port for port in asynchronous if not port.startswith(("led", "uart_tx"))]
    outputs = [port for port in asynchronous if port not in inputs]
    lines.append("# Between the two clocks are synchronisers and Gray-coded pointers.")
    lines.append(
        "set_clock_groups -asynchronous -group [get_clocks -of_objects [get_pins mmcm/CLKOUT0]] "
        "-group [get_clocks -of_objects [get_pins mmcm/CLKOUT1]]"
    )
    lines.append(f"set_false_path -from [get_ports {{{' '.join(inputs)}}}]")
    lines.append(f"set_false_path -to [get_ports {{{' '.join(outputs)}}}]")
    return "\n".join([*lines, ""])


def _with_processor(design: Design) -> dict[str, str]:
    board = design.board
    axi = axi_host_verilog(
        design.params,
        columns=design.columns,
        rows=design.rows,
        stream_width=STREAM_WIDTH,
        codec=design.codec,
    )
    description = component_xml(
        module_ports(axi, "axi_chip"),
        name=IP_NAME,
        top="axi_chip",
        files=["../../axi_chip.v", "../../chip.v", "../../node.v"],
    )
    registers = "".join(
        f'    "{register.name}": {register.offset:#05x},\n' for register in HOST_REGISTERS.values()
    )
    vlnv = ":".join((VENDOR, LIBRARY, IP_NAME, VERSION))
    return {
        "axi_chip.v": axi,
        f"ip/{IP_NAME}/component.xml": description,
        "top.xdc": (
            "# Paths between the two clocks go through synchronisers and Gray-coded pointers.\n"
            "set_clock_groups -asynchronous -group [get_clocks -of_objects [get_pins "
            "system_i/ps/pl_clk0]] -group [get_clocks -of_objects [get_pins "
            "system_i/clocks/clk_out1]]\n"
        ),
        "build.tcl": _fill("block_design.tcl", board, vlnv=vlnv, clock_mhz=f"{design.clock_mhz:g}"),
        "stemcore_overlay.py": _fill(
            "overlay.txt", board, identity=f"{IDENTITY:#010x}", registers=registers
        ),
    }


def cells_of(stat: dict[str, Any]) -> dict[str, float]:
    """Cells of a mapping by kind, from Yosys' ``stat -json``."""
    counts = stat["design"]["num_cells_by_type"]
    return {
        kind: sum(share * counts.get(cell, 0) for cell, share in cells.items())
        for kind, cells in KINDS.items()
    }


def node_cells(design: Design) -> dict[str, float]:
    """What Yosys maps a node to, on the part of the board. Kept while nothing changes."""
    out = results() / "fpga"
    out.mkdir(parents=True, exist_ok=True)
    node = _node(design)
    flags = design.board.synthesis
    # The core by itself, as for ECP5.
    scripts = {
        top: f"read_verilog node.v\n{hidden}hierarchy -top {top}\nproc\nflatten\nopt -full\nclean\n"
        f"synth_xilinx {flags} -noiopad -noclkbuf -top {top}\ntee -q -o {top}.json stat -json"
        for top, hidden in (("node_core", ""), ("node", "blackbox node_core\n"))
    }
    key = content_key([], node, scripts, sorted(versions().items()))
    with built_once(out, f"xilinx-{design.preset}", key) as (folder, empty):
        if empty:
            (folder / "node.v").write_text(node)
            for top, script in scripts.items():
                run_yosys(script, cwd=folder, name=top)
    counts = [cells_of(json.loads((folder / f"{top}.json").read_text())) for top in scripts]
    return {kind: sum(found[kind] for found in counts) for kind in KINDS}


def next_steps(design: Design, folder: Path, model: dict[str, Any] | None) -> list[str]:
    """What the user types next."""
    board = design.board
    make = f"cd {shlex.quote(str(folder))} && vivado -mode batch -source build.tcl"
    if board.platform:  # with a serial line
        bitstream = shlex.quote(str(folder / f"{board.name}.bit"))
        return [f"({make})", f"{board.loader} {bitstream}", run_command(design, model)]
    files = f"{board.name}.bit {board.name}.hwh stemcore_overlay.py"
    return [make, f"scp {files} ubuntu@kria:", "python3 -i stemcore_overlay.py  # there: Chip()"]


def write_project(
    design: Design,
    model: dict[str, Any] | None,
    say: Callable[[str], None],
    *,
    netlist: dict[str, Any] | None = None,
) -> tuple[dict[str, Any], Path]:
    """Writes the project of a board and ``report.json`` into a folder of ``sim_build/fpga``.

    model : what is known of the network that is to run on it
    netlist : what a simulation of the nodes' netlist found
    """
    say(f"write        {design.columns} x {design.rows} nodes of {design.preset}: Verilog, scripts")
    folder = results() / "fpga" / design.name
    for name, text in project_files(design).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    say(f"synthesis    a node of {design.preset} with Yosys, for its figures")
    report = {
        "board": design.board.name,
        "device": design.board.device,
        "preset": design.preset,
        "nodes": [design.columns, design.rows],
        "node_cells": node_cells(design),
        "model": model,
        "netlist": netlist,
        "next": next_steps(design, folder, model),
        "checked": "by Yosys, as far as it reads the Verilog; no tool of the vendor has seen it",
        "versions": versions(),
    }
    write_whole(folder / "report.json", json.dumps(report, indent=2) + "\n")
    return report, folder
