# SPDX-License-Identifier: Apache-2.0
"""Copies of what many cells read: the same netlist, with fewer readers for each driver."""

import copy
import itertools
import random

import pytest

from stemcore.runtime.fpga.fan_out import MOST, limit_fan_out

CLOCK, OTHER_CLOCK, PIN = 2, 3, 4
FIRST = 10  # net of the first cell; the next cell's is one more
DIRECTIONS = {
    "TRELLIS_FF": {"CLK": "input", "DI": "input", "CE": "input", "LSR": "input", "Q": "output"},
    "LUT4": dict.fromkeys("ABCD", "input") | {"Z": "output"},
}


def flip_flop(output, data, *, enable="1", reset="0", clock=CLOCK, mode="LSR_OVER_CE"):
    return {
        "type": "TRELLIS_FF",
        "attributes": {},
        "parameters": {"SRMODE": mode},
        "port_directions": DIRECTIONS["TRELLIS_FF"],
        "connections": {
            "CLK": [clock],
            "DI": [data],
            "CE": [enable],
            "LSR": [reset],
            "Q": [output],
        },
    }


def table(output, *inputs):
    pins = (*inputs, "0", "0", "0", "0")[:4]
    return {
        "type": "LUT4",
        "attributes": {},
        "parameters": {"INIT": "0110"},
        "port_directions": DIRECTIONS["LUT4"],
        "connections": {port: [pin] for port, pin in zip("ABCD", pins, strict=True)}
        | {"Z": [output]},
    }


def netlist(cells, *, outputs=()):
    ports = {"q": {"direction": "output", "bits": list(outputs)}}
    return {"modules": {"top": {"cells": cells, "ports": ports, "netnames": {}}}}


def readers(design):
    """Pins that read a net."""
    counts = {}
    for cell in design["modules"]["top"]["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                for bit in bits:
                    counts[bit] = counts.get(bit, 0) + 1
    return counts


def without_copies(design):
    """The cells before, from those after: each copy must be its original but for its output."""
    cells = copy.deepcopy(design["modules"]["top"]["cells"])
    origins = {name: name.split("_copy")[0] for name in cells}
    outputs = {"TRELLIS_FF": "Q", "LUT4": "Z"}
    nets = {
        cell["connections"][port][0]: cells[origins[name]]["connections"][port][0]
        for name, cell in cells.items()
        for port in [outputs[cell["type"]]]
    }
    for cell in cells.values():
        for bits in cell["connections"].values():
            bits[:] = [nets.get(bit, bit) for bit in bits]
    for name, origin in origins.items():
        assert cells[name] == cells[origin]
    return {name: cell for name, cell in cells.items() if origins[name] == name}


@pytest.mark.parametrize(
    ("n_readers", "copies"), [(0, 0), (1, 0), (MOST, 0), (MOST + 1, 1), (10 * MOST + 1, 10)]
)
@pytest.mark.parametrize("driver", ["flip-flop", "table"])
def test_each_driver_has_so_many_readers(driver, n_readers, copies):
    cells = {"driver": flip_flop(FIRST, "1") if driver == "flip-flop" else table(FIRST, PIN)}
    for n in range(n_readers):
        cells[f"reader{n:04}"] = flip_flop(FIRST + 1 + n, "1", enable=FIRST)
    design = netlist(copy.deepcopy(cells))
    assert limit_fan_out(design, "top") == copies
    assert without_copies(design) == cells
    counts = readers(design)
    driven = [counts[net] for net in counts if isinstance(net, int) and net not in (CLOCK, PIN)]
    assert max(driven, default=0) <= MOST and sum(driven) == n_readers
    # About the same for each, and side by side by name.
    assert max(driven, default=0) - min(driven, default=0) <= 1
    if copies:
        nets = [
            design["modules"]["top"]["cells"][f"reader{n:04}"]["connections"]["CE"][0]
            for n in range(n_readers)
        ]
        assert sum(a != b for a, b in itertools.pairwise(nets)) == copies


def test_copies_of_tables_are_readers_of_a_flip_flop():
    """A reset behind a gate: the gate is copied first, and then the register before it."""
    cells = {"stop": flip_flop(FIRST, "1"), "gate": table(FIRST + 1, FIRST, PIN)}
    for n in range(100):
        cells[f"reader{n:04}"] = flip_flop(FIRST + 2 + n, "0", reset=FIRST + 1)
    design = netlist(copy.deepcopy(cells))
    assert limit_fan_out(design, "top", most=5) == 19 + 3
    assert without_copies(design) == cells
    assert (
        max(count for net, count in readers(design).items() if net not in (CLOCK, PIN, "0", "1"))
        <= 5
    )


def test_an_output_of_the_module_keeps_its_driver():
    cells = {"driver": flip_flop(FIRST, "1")}
    for n in range(12):
        cells[f"reader{n:04}"] = table(FIRST + 1 + n, FIRST)
    design = netlist(copy.deepcopy(cells), outputs=[FIRST])
    assert limit_fan_out(design, "top", most=5) == 3
    assert without_copies(design) == cells
    assert FIRST not in readers(design)
    assert design["modules"]["top"]["ports"]["q"]["bits"] == [FIRST]


@pytest.mark.parametrize(
    "cells",
    [
        {"driver": flip_flop(FIRST, "1", mode="ASYNC")},
        {"before": flip_flop(9, "1", mode="ASYNC"), "driver": flip_flop(FIRST, 9)},
        {"before": flip_flop(9, "1", clock=OTHER_CLOCK), "driver": flip_flop(FIRST, 9)},
        {"driver": flip_flop(FIRST, PIN)},
    ],
    ids=["asynchronous reset", "behind one", "another clock", "a pin"],
)
def test_synchronisers_stay_single(cells):
    cells = cells | {f"reader{n}": flip_flop(20 + n, "1", enable=FIRST) for n in range(2 * MOST)}
    design = netlist(copy.deepcopy(cells))
    assert limit_fan_out(design, "top") == 0
    assert design == netlist(cells)


def test_a_clock_from_logic_stays_single():
    cells = {"driver": table(FIRST, PIN)}
    cells |= {f"reader{n}": flip_flop(20 + n, "1", clock=FIRST) for n in range(2 * MOST)}
    design = netlist(copy.deepcopy(cells))
    assert limit_fan_out(design, "top") == 0
    assert design == netlist(cells)


@pytest.mark.parametrize("seed", range(8))
def test_random_netlists_are_the_same_but_for_copies(seed):
    draw = random.Random(f"fan-out {seed}")
    n_cells, most = draw.randint(20, 300), draw.randint(8, 16)
    nets = range(FIRST, FIRST + n_cells)
    # Few nets are read by most. Tables read what comes before: no loop is without a register.
    cells = {}
    for net in nets:
        few = nets[: 1 + n_cells // 20]
        of = [draw.choice([*few, draw.choice(nets)]) for _ in range(3)]
        if draw.random() < 0.4:
            before = [bit if bit < net else draw.choice([PIN, *nets[: net - FIRST]]) for bit in of]
            cells[f"c{net}"] = table(net, *before)
        else:
            cells[f"c{net}"] = flip_flop(net, draw.choice([*of, "1"]), enable=of[1], reset=of[2])
    outputs = draw.sample(nets, k=min(3, n_cells))
    design = netlist(copy.deepcopy(cells), outputs=outputs)
    limit_fan_out(design, "top", most)
    assert without_copies(design) == cells
    counts = readers(design)
    driven = [net for net in counts if isinstance(net, int) and net >= FIRST]
    assert max(counts[net] for net in driven) <= most
    again = netlist(copy.deepcopy(cells), outputs=outputs)
    limit_fan_out(again, "top", most)
    assert again == design
