# SPDX-License-Identifier: Apache-2.0
"""ECP5: registers around block memories and multipliers become these blocks' own.

A block memory without its output register answers 5.8 ns after the clock, with it 1.0 ns (speed
grade 6); a multiplier takes 3.9 ns from its factors to its product, and 3.5 ns to the register of
its product; with registers of the factors too, all of that lies inside the block. Yosys never uses
any. Where every bit that comes out of a block goes to a flip-flop and nowhere else, or every bit of
both factors comes from one, and the flip-flops share clock and enable, the block takes their place:
the same values in the same cycles, and fewer flip-flops.
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
FACTORS = tuple(f"{factor}{index}" for factor in "AB" for index in range(18))


def use_block_registers(netlist: Netlist, top: str) -> dict[str, int]:
    """Changes the flat module ``top`` of ``netlist``. Returns how many memories have their output
    register now, how many multipliers that of their product and those of their factors, and how
    many flip-flops were removed."""
    module = netlist["modules"][top]
    cells: dict[str, Cell] = module["cells"]
    users = _users(module)
    done = {"memories": 0, "products": 0, "factors": 0, "flip_flops": 0}
    n_before = len(cells)
    multipliers = [
        cell for cell in cells.values() if cell["type"] == MULTIPLIER and not _has_registers(cell)
    ]
    for ram in [cell for cell in cells.values() if cell["type"] == RAM]:
        done["memories"] += _register_memory(ram, cells, users)
    for multiplier in multipliers:
        done["products"] += _register_product(multiplier, cells, users)
    copied = set()
    drivers = {
        cell["connections"]["Q"][0]: name
        for name, cell in cells.items()
        if cell["type"] == FLIP_FLOP
    }
    for multiplier in multipliers:
        names = _register_factors(multiplier, cells, drivers)
        done["factors"] += bool(names)
        copied |= names
    users = _users(module)
    for name in copied:
        if not users[cells[name]["connections"]["Q"][0]]:
            del cells[name]
    done["flip_flops"] = n_before - len(cells)
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


def _register_memory(ram: Cell, cells: dict[str, Cell], users: Users) -> bool:
    """Whether a memory took flip-flops' place; each of its ports is taken by itself."""
    is_done = False
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
        _absorb(ram, registers, cells)
        is_done = True
    return is_done


def _has_registers(multiplier: Cell) -> bool:
    return any(
        value.strip() != "NONE"
        for name, value in multiplier["parameters"].items()
        if name.startswith("REG_") and name.endswith("_CLK")
    )


def _register_product(multiplier: Cell, cells: dict[str, Cell], users: Users) -> bool:
    """Whether a multiplier took the place of the flip-flops behind it."""
    registers = _registers(multiplier, PRODUCT, cells, users)
    if registers is None:
        return False
    _use_register(multiplier, "OUTPUT", registers.clock, "CE0", registers.enable)
    _absorb(multiplier, registers, cells)
    return True


def _register_factors(
    multiplier: Cell, cells: dict[str, Cell], drivers: dict[Bit, str]
) -> set[str]:
    """Flip-flops before a multiplier that registers its factors itself now; they stay, since others
    may read them."""
    before: dict[str, str] = {}
    for port in FACTORS:
        bit = _bit(multiplier, port)
        if bit is None or bit == "0":
            continue
        if bit not in drivers:
            return set()
        before[port] = drivers[bit]
    controls = {_controls(cells[name]) for name in before.values()}
    if len(controls) != 1:
        return set()
    (same,) = controls
    if same is None or _bit(multiplier, "CLK0") not in (None, same[0]):
        return set()
    for factor in ("INPUTA", "INPUTB"):
        _use_register(multiplier, factor, same[0], "CE1", same[1])
    for port, name in before.items():
        multiplier["connections"][port] = cells[name]["connections"]["DI"]
    return set(before.values())


def _use_register(multiplier: Cell, which: str, clock: Bit, pin: str, enable: Bit) -> None:
    """Turns a register of a multiplier on, which ``enable`` enables by way of ``pin``."""
    multiplier["parameters"] |= {
        f"REG_{which}_CLK": "CLK0",
        f"REG_{which}_CE": pin,
        f"REG_{which}_RST": "RST0",
    }
    for port, bit in (("CLK0", clock), (pin, enable), ("RST0", "0")):
        multiplier["connections"][port] = [bit]
        multiplier["port_directions"][port] = "input"


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


def _absorb(block: Cell, registers: Registers, cells: dict[str, Cell]) -> None:
    for output, name in registers.by_output.items():
        block["connections"][output] = cells.pop(name)["connections"]["Q"]
