# SPDX-License-Identifier: Apache-2.0
"""ECP5: what many cells wait for is made several times, near those that do.

One flip-flop that enables or resets cells all over a part takes most of a cycle to reach the last
of them, and neither Yosys nor nextpnr makes a second one. Here each copy drives a few cells whose
names lie side by side, so mostly cells of one block. The same values in the same cycles, with some
more flip-flops and lookup tables.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

from .block_registers import FLIP_FLOP, Bit, Cell, Netlist

LUT = "LUT4"
OUTPUTS = {LUT: "Z", FLIP_FLOP: "Q"}
CLOCKS = {"CLK", "CLKA", "CLKB", "WCK", "CLK0", "CLK1", "CLK2", "CLK3"}
MOST = 24  # pins that one driver drives

Pin = tuple[str, str, int]  # cell, port, index of the bit


def limit_fan_out(netlist: Netlist, top: str, most: int = MOST) -> int:
    """Changes the flat module ``top`` of ``netlist``; returns how many copies were made.

    Lookup tables first, then flip-flops, and again, since what a cell reads is read once more by
    each copy. Flip-flops that are reset asynchronously, or that read one that is or has another
    clock, synchronise: they stay single. So does what a clock comes from.
    """
    copies = _Copies(netlist["modules"][top], most)
    n_before = -1
    while copies.n_made > n_before:
        n_before = copies.n_made
        for kind in OUTPUTS:
            copies.make(kind)
    return copies.n_made


class _Copies:
    """A module, and who reads which of its nets.

    n_made : copies, so far
    """

    def __init__(self, module: dict[str, Any], most: int) -> None:
        self._module = module
        self._cells: dict[str, Cell] = module["cells"]
        self._most = most
        self._loads = _loads(self._cells)
        self._drivers = _drivers(self._cells)
        self._outputs = {bit for port in module["ports"].values() for bit in port["bits"]}
        highest = max((bit for bit in _bits(module) if isinstance(bit, int)), default=0)
        self._free = count(highest + 1)
        self.n_made = 0

    def make(self, kind: str) -> None:
        """Copies of all cells of a kind with too many readers."""
        for name in sorted(name for name, cell in self._cells.items() if cell["type"] == kind):
            cell = self._cells[name]
            (output,) = cell["connections"][OUTPUTS[kind]]
            pins = sorted(self._loads.get(output, ()))
            if len(pins) <= self._most or any(port in CLOCKS for _, port, _ in pins):
                continue
            if kind == FLIP_FLOP and _synchronises(cell, self._cells, self._drivers):
                continue
            groups = _groups(pins, self._most)
            # What drives an output of the module drives that alone.
            self._loads[output] = [] if output in self._outputs else groups.pop(0)
            for group in groups:
                self._copy(name, OUTPUTS[kind], group)

    def _copy(self, name: str, output: str, pins: list[Pin]) -> None:
        """A cell that drives these pins in the place of the one that it is a copy of."""
        net = next(self._free)
        copy = _copy_of(self._cells[name], output, net)
        copy_name = f"{name}_copy{self.n_made}"
        self._cells[copy_name] = copy
        self._module["netnames"][f"{copy_name}_{output}"] = {
            "hide_name": 1,
            "bits": [net],
            "attributes": {},
        }
        for reader, port, place in pins:
            self._cells[reader]["connections"][port][place] = net
        self._drivers[net] = copy_name
        self._loads[net] = pins
        for port, bits in copy["connections"].items():
            for place, bit in enumerate(bits):
                if port != output and isinstance(bit, int):
                    self._loads.setdefault(bit, []).append((copy_name, port, place))
        self.n_made += 1


def _groups(pins: list[Pin], most: int) -> list[list[Pin]]:
    """As few as there may be, of about the same size."""
    n_groups = -(-len(pins) // most)
    return [
        pins[len(pins) * i // n_groups : len(pins) * (i + 1) // n_groups] for i in range(n_groups)
    ]


def _bits(module: dict[str, Any]) -> Iterator[Bit]:
    for cell in module["cells"].values():
        for bits in cell["connections"].values():
            yield from bits
    for kind in ("ports", "netnames"):
        for named in module[kind].values():
            yield from named["bits"]


def _loads(cells: dict[str, Cell]) -> dict[Bit, list[Pin]]:
    """Who reads a net of those that cells drive."""
    loads: dict[Bit, list[Pin]] = {}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                for place, bit in enumerate(bits):
                    if isinstance(bit, int):
                        loads.setdefault(bit, []).append((name, port, place))
    return loads


def _drivers(cells: dict[str, Cell]) -> dict[Bit, str]:
    """Cells by the nets that they drive."""
    return {
        bit: name
        for name, cell in cells.items()
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
        for bit in bits
    }


def _is_asynchronous(cell: Cell) -> bool:
    return bool(cell["parameters"].get("SRMODE") == "ASYNC")


def _synchronises(cell: Cell, cells: dict[str, Cell], drivers: dict[Bit, str]) -> bool:
    """Whether a flip-flop may meet a value that is just changing."""
    if _is_asynchronous(cell):
        return True
    (data,) = cell["connections"]["DI"]
    before = cells.get(drivers.get(data, ""))
    if before is None:  # a pin, which nothing makes wait for a clock
        return isinstance(data, int)
    if before["type"] != FLIP_FLOP:
        return False
    return _is_asynchronous(before) or before["connections"]["CLK"] != cell["connections"]["CLK"]


def _copy_of(cell: Cell, output: str, net: int) -> Cell:
    connections = {port: list(bits) for port, bits in cell["connections"].items()}
    return {
        **cell,
        "attributes": dict(cell["attributes"]),
        "parameters": dict(cell["parameters"]),
        "connections": connections | {output: [net]},
    }
