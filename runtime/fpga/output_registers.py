# SPDX-License-Identifier: Apache-2.0
"""ECP5: registers behind block memories and multipliers become these blocks' own.

A block memory without its output register answers 5.8 ns after the clock, with it 1.0 ns (speed
grade 6); a multiplier takes 3.9 ns from its factors to its product, to its register 3.5 ns without
the way out of the block. Yosys never uses either. Where every bit that comes out of a block goes to
a flip-flop and nowhere else, and the flip-flops share clock and enable, the block takes their
place: the same values in the same cycles, and fewer flip-flops.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Netlist = dict[str, Any]  # what Yosys' ``write_json`` writes
Cell = dict[str, Any]
Bit = int | str  # a net, or a constant "0", "1", "x"
Users = dict[Bit, list[tuple[str, str]]]  # of a net: names of cell and port

RAM, MULTIPLIER, FLIP_FLOP = "DP16KD", "MULT18X18D", "TRELLIS_FF"
WIDE = 36  # bits of a word that takes the outputs of both ports, with the controls of port B
DATA_WIDTH = 18  # outputs of one port
PRODUCT = tuple(f"P{index}" for index in range(36))


def use_output_registers(netlist: Netlist, top: str) -> dict[str, int]:
    """Changes the flat module ``top`` of ``netlist``; memories and multipliers done, and flip-flops
    removed."""
    cells: dict[str, Cell] = netlist["modules"][top]["cells"]
    users = _users(netlist["modules"][top])
    done = {"memories": 0, "multipliers": 0, "flip_flops": 0}
    for cell in list(cells.values()):
        if cell["type"] == RAM:
            kind, removed = "memories", _register_memory(cell, cells, users)
        elif cell["type"] == MULTIPLIER:
            kind, removed = "multipliers", _register_multiplier(cell, cells, users)
        else:
            continue
        done[kind] += bool(removed)
        done["flip_flops"] += removed
    return done


@dataclass(frozen=True)
class Registers:
    """Flip-flops that start at 0, without a reset: their names by the output that each registers,
    and the nets of their clock and enable."""

    by_output: dict[str, str]
    clock: Bit
    enable: Bit


def _users(module: dict[str, Any]) -> Users:
    """Who reads a net; of the module's outputs, no cell."""
    users: Users = defaultdict(list)
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                for bit in bits:
                    users[bit].append((name, port))
    for name, port in module["ports"].items():
        for bit in port["bits"]:
            users[bit].append(("", name))
    return users


def _number(value: str | int) -> int:
    """A parameter: Yosys writes numbers as bits."""
    return value if isinstance(value, int) else int(value, 2)


def _read_sides(ram: Cell) -> Iterator[str]:
    """Ports whose outputs are read together: each by itself, or both where words are wide."""
    widths = [_number(ram["parameters"][f"DATA_WIDTH_{port}"]) for port in "AB"]
    if WIDE in widths:
        if widths == [WIDE, WIDE]:
            yield "AB"
    else:
        yield from "AB"


def _bit(cell: Cell, port: str) -> Bit | None:
    bits = cell["connections"].get(port)
    return bits[0] if bits else None


def _register_memory(ram: Cell, cells: dict[str, Cell], users: Users) -> int:
    """Flip-flops removed behind a memory, each of whose ports is taken by itself."""
    removed = 0
    for ports in _read_sides(ram):
        control = ports[-1]  # wide words: the controls of port B
        parameters = ram["parameters"]
        if any(parameters.get(f"REGMODE_{port}") != "NOREG" for port in ports):
            continue
        if (
            parameters.get(f"CLK{control}MUX") != f"CLK{control}"
            or _bit(ram, f"RST{control}") != "0"
        ):
            continue
        outputs = [f"DO{port}{index}" for port in ports for index in range(DATA_WIDTH)]
        registers = _registers(ram, outputs, cells, users)
        if registers is None or registers.clock != _bit(ram, f"CLK{control}"):
            continue
        for port in ports:
            parameters[f"REGMODE_{port}"] = "OUTREG"
        ram["connections"][f"OCE{control}"] = [registers.enable]
        removed += _absorb(ram, registers, cells)
    return removed


def _register_multiplier(multiplier: Cell, cells: dict[str, Cell], users: Users) -> int:
    """Flip-flops removed behind a multiplier that has no register yet."""
    parameters = multiplier["parameters"]
    if any(
        value.strip() != "NONE"
        for name, value in parameters.items()
        if name.startswith("REG_") and name.endswith("_CLK")
    ):
        return 0
    registers = _registers(multiplier, PRODUCT, cells, users)
    if registers is None:
        return 0
    parameters |= {
        "REG_OUTPUT_CLK": "CLK0",
        "REG_OUTPUT_CE": "CE0",
        "REG_OUTPUT_RST": "RST0",
    }
    for port, bit in (("CLK0", registers.clock), ("CE0", registers.enable), ("RST0", "0")):
        multiplier["connections"][port] = [bit]
        multiplier["port_directions"][port] = "input"
    return _absorb(multiplier, registers, cells)


def _registers(
    block: Cell, outputs: Iterable[str], cells: dict[str, Cell], users: Users
) -> Registers | None:
    """The flip-flops behind ``outputs`` of a block; None unless a register of the block can do
    their work."""
    found = {}
    for output in outputs:
        bit = _bit(block, output)
        readers = users.get(bit, []) if bit is not None else []
        if not readers:
            continue
        name, pin = readers[0]
        if len(readers) > 1 or not name or pin != "DI":
            return None
        found[output] = name
    controls = {_controls(cells[name]) for name in found.values()}
    if len(controls) != 1:
        return None
    (same,) = controls
    return None if same is None else Registers(found, *same)


def _controls(cell: Cell) -> tuple[Bit, Bit] | None:
    """Clock and enable of a flip-flop that starts at 0 and has no reset; else ``None``."""
    parameters = cell["parameters"]
    if cell["type"] != FLIP_FLOP or parameters.get("CLKMUX", "CLK") != "CLK":
        return None
    if parameters.get("REGSET", "RESET") != "RESET" or _bit(cell, "LSR") not in (None, "0"):
        return None
    enable = {"CE": _bit(cell, "CE"), "1": "1"}.get(parameters.get("CEMUX", "1").strip())
    clock = _bit(cell, "CLK")
    return None if enable is None or clock is None else (clock, enable)


def _absorb(block: Cell, registers: Registers, cells: dict[str, Cell]) -> int:
    for output, name in registers.by_output.items():
        block["connections"][output] = cells.pop(name)["connections"]["Q"]
    return len(registers.by_output)
