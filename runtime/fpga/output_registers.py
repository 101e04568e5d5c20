# SPDX-License-Identifier: Apache-2.0
"""ECP5: registers behind block memories become the memories' own output registers.

A block memory without its output register answers 5.8 ns after the clock, with it 1.0 ns (speed
grade 6); Yosys never uses it. Where every bit that is read from a memory goes to a flip-flop and
nowhere else, and the flip-flops of the memory share clock and enable, the memory takes their place:
the same values in the same cycles, and fewer flip-flops.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

Netlist = dict[str, Any]  # what Yosys' ``write_json`` writes
Cell = dict[str, Any]
Bit = int | str  # a net, or a constant "0", "1", "x"

RAM, FLIP_FLOP = "DP16KD", "TRELLIS_FF"
WIDE = 36  # bits of a word that takes the outputs of both ports, with the controls of port B
DATA_WIDTH = 18  # outputs of one port


def use_output_registers(netlist: Netlist, top: str) -> dict[str, int]:
    """Changes the flat module ``top`` of ``netlist``; memories done, and flip-flops removed."""
    cells: dict[str, Cell] = netlist["modules"][top]["cells"]
    users = _users(netlist["modules"][top])
    done = {"memories": 0, "flip_flops": 0}
    for cell in list(cells.values()):
        if cell["type"] != RAM:
            continue
        removed = 0
        for ports in _read_sides(cell):
            found = _flip_flops(cell, ports, cells, users)
            if found:
                _absorb(cell, ports, found, cells)
                removed += len(found)
        done["memories"] += bool(removed)
        done["flip_flops"] += removed
    return done


def _users(module: dict[str, Any]) -> dict[Bit, list[tuple[str, str]]]:
    """Who reads a net: names of cell and port; of the module's outputs, no cell."""
    users: dict[Bit, list[tuple[str, str]]] = defaultdict(list)
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


def _flip_flops(
    ram: Cell, ports: str, cells: dict[str, Cell], users: dict[Bit, list[tuple[str, str]]]
) -> dict[str, str]:
    """Flip-flops by the output that they register; none unless the memory can do their work."""
    control = ports[-1]  # wide words: the controls of port B
    parameters = ram["parameters"]
    if any(parameters.get(f"REGMODE_{port}") != "NOREG" for port in ports):
        return {}
    if parameters.get(f"CLK{control}MUX") != f"CLK{control}" or _bit(ram, f"RST{control}") != "0":
        return {}
    found = {}
    for port in ports:
        for index in range(DATA_WIDTH):
            output = f"DO{port}{index}"
            bit = _bit(ram, output)
            readers = users.get(bit, []) if bit is not None else []
            if not readers:
                continue
            name, pin = readers[0]
            if len(readers) > 1 or not name or pin != "DI":
                return {}
            found[output] = name
    controls = {_controls(cells[name]) for name in found.values()}
    if len(controls) != 1:
        return {}
    (same,) = controls
    return found if same is not None and same[0] == _bit(ram, f"CLK{control}") else {}


def _controls(cell: Cell) -> tuple[Bit | None, Bit | None] | None:
    """Clock and enable of a flip-flop that starts at 0 and has no reset; else ``None``."""
    parameters = cell["parameters"]
    if cell["type"] != FLIP_FLOP or parameters.get("CLKMUX", "CLK") != "CLK":
        return None
    if parameters.get("REGSET", "RESET") != "RESET" or _bit(cell, "LSR") not in (None, "0"):
        return None
    enable = {"CE": _bit(cell, "CE"), "1": "1"}.get(parameters.get("CEMUX", "1").strip())
    return None if enable is None else (_bit(cell, "CLK"), enable)


def _absorb(ram: Cell, ports: str, found: dict[str, str], cells: dict[str, Cell]) -> None:
    control = ports[-1]
    first = _controls(cells[next(iter(found.values()))])
    assert first is not None
    for port in ports:
        ram["parameters"][f"REGMODE_{port}"] = "OUTREG"
    ram["connections"][f"OCE{control}"] = [first[1]]
    for output, name in found.items():
        ram["connections"][output] = cells.pop(name)["connections"]["Q"]
