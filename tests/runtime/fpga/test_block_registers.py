# SPDX-License-Identifier: Apache-2.0
"""Registers of ECP5's blocks: taken where they change no value in any cycle."""

import copy

import pytest

from stemcore.runtime.fpga.block_registers import DATA_WIDTH, use_block_registers

CLOCK, ENABLE, OTHER = 2, 3, 4
N_BITS = 5
NOTHING_DONE = {"memories": 0, "products": 0, "factors": 0, "flip_flops": 0}


def ram(width):
    """A memory whose port B reads nets 100 and up; wide words from both ports."""
    ports = "AB" if width == 36 else "B"
    outputs = {
        f"DO{port}{i}": [100 + 50 * ports.index(port) + i] for port in ports for i in range(N_BITS)
    }
    inputs = {"CLKA": [CLOCK], "CLKB": [CLOCK], "OCEA": ["0"], "OCEB": ["1"]}
    inputs |= {"RSTA": ["0"], "RSTB": ["0"], "CEB": [ENABLE]}
    return {
        "type": "DP16KD",
        "parameters": {
            "DATA_WIDTH_A": f"{width:032b}",
            "DATA_WIDTH_B": f"{width:032b}",
            "REGMODE_A": "NOREG",
            "REGMODE_B": "NOREG",
            "CLKAMUX": "CLKA",
            "CLKBMUX": "CLKB",
        },
        "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
        "connections": inputs | outputs,
    }


def flip_flop(bit, enable=ENABLE):
    connections = {"CLK": [CLOCK], "DI": [bit], "LSR": ["0"], "Q": [bit + 1000], "CE": [enable]}
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "CE", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET"},
        "port_directions": dict.fromkeys(connections, "input") | {"Q": "output"},
        "connections": connections,
    }


def netlist(width=4):
    cells = {"m": ram(width)}
    for name, bits in cells["m"]["connections"].copy().items():
        if name.startswith("DO"):
            cells[f"ff_{name}"] = flip_flop(bits[0])
    ports = {"q": {"direction": "output", "bits": [1100]}}
    return {"modules": {"top": {"cells": cells, "ports": ports}}}


@pytest.mark.parametrize("width", [4, 9, 18, 36])
def test_registers_behind_a_memory_become_its_own(width):
    design = netlist(width)
    before = copy.deepcopy(design["modules"]["top"]["cells"])
    done = use_block_registers(design, "top")
    cells = design["modules"]["top"]["cells"]
    registers = [name for name in before if name != "m"]
    assert done == NOTHING_DONE | {"memories": 1, "flip_flops": len(registers)}
    assert list(cells) == ["m"]
    memory = cells["m"]
    sides = "AB" if width == 36 else "B"
    for side in "AB":
        wanted = "OUTREG" if side in sides else "NOREG"
        assert memory["parameters"][f"REGMODE_{side}"] == wanted
    assert memory["connections"]["OCEB"] == [ENABLE] and memory["connections"]["OCEA"] == ["0"]
    for name in registers:
        output = name.removeprefix("ff_")
        assert memory["connections"][output] == before[name]["connections"]["Q"]
    unchanged = {"DATA_WIDTH_A", "DATA_WIDTH_B", "CLKAMUX", "CLKBMUX"}
    for name in unchanged:
        assert memory["parameters"][name] == before["m"]["parameters"][name]


def always_enabled(cells):
    for name, cell in cells.items():
        if name != "m":
            cell["parameters"]["CEMUX"] = "1 "
            del cell["connections"]["CE"]


def test_registers_without_enable_are_always_enabled():
    design = netlist()
    always_enabled(design["modules"]["top"]["cells"])
    assert use_block_registers(design, "top")["flip_flops"] == N_BITS
    assert design["modules"]["top"]["cells"]["m"]["connections"]["OCEB"] == ["1"]


def test_bits_that_nobody_reads_do_not_matter():
    design = netlist()
    del design["modules"]["top"]["cells"]["ff_DOB2"]
    assert use_block_registers(design, "top")["flip_flops"] == N_BITS - 1


def two_readers(top):
    top["cells"]["ff_2"] = flip_flop(101)


def read_by_logic(top):
    top["cells"]["ff_DOB0"]["type"] = "LUT4"


def read_as_reset(top):
    top["cells"]["ff_DOB0"]["connections"] |= {"LSR": [100], "DI": [OTHER]}


def read_outside(top):
    top["ports"]["word"] = {"direction": "output", "bits": [102]}


def other_enable(top):
    top["cells"]["ff_DOB0"] = flip_flop(100, enable=OTHER)


def other_clock(top):
    for name, cell in top["cells"].items():
        if name != "m":
            cell["connections"]["CLK"] = [OTHER]


def falling_edge(top):
    for name, cell in top["cells"].items():
        if name != "m":
            cell["parameters"]["CLKMUX"] = "INV"


def inverted_enable(top):
    for name, cell in top["cells"].items():
        if name != "m":
            cell["parameters"]["CEMUX"] = "INV"


def with_reset(top):
    top["cells"]["ff_DOB0"]["connections"]["LSR"] = [OTHER]


def starts_at_one(top):
    top["cells"]["ff_DOB0"]["parameters"]["REGSET"] = "SET"


def memory_with_reset(top):
    top["cells"]["m"]["connections"]["RSTB"] = [OTHER]


def registered_already(top):
    top["cells"]["m"]["parameters"]["REGMODE_B"] = "OUTREG"


def inverted_memory_clock(top):
    top["cells"]["m"]["parameters"]["CLKBMUX"] = "INV"


def half_wide(top):
    top["cells"]["m"]["parameters"]["DATA_WIDTH_B"] = f"{36:032b}"


def nobody_reads(top):
    for name in [n for n in top["cells"] if n != "m"]:
        del top["cells"][name]


@pytest.mark.parametrize(
    "change",
    [
        two_readers,
        read_by_logic,
        read_as_reset,
        read_outside,
        other_enable,
        other_clock,
        falling_edge,
        inverted_enable,
        with_reset,
        starts_at_one,
        memory_with_reset,
        registered_already,
        inverted_memory_clock,
        half_wide,
        nobody_reads,
    ],
)
def test_what_would_change_a_value_stays(change):
    design = netlist()
    change(design["modules"]["top"])
    before = copy.deepcopy(design)
    assert use_block_registers(design, "top") == NOTHING_DONE
    assert design == before


def test_both_ports_of_a_memory_are_taken_by_themselves():
    design = netlist()
    memory = design["modules"]["top"]["cells"]["m"]
    for i in range(DATA_WIDTH):
        memory["connections"][f"DOA{i}"] = [500 + i]
        memory["port_directions"][f"DOA{i}"] = "output"
        design["modules"]["top"]["cells"][f"a{i}"] = flip_flop(500 + i, enable=OTHER)
    done = use_block_registers(design, "top")
    assert done == NOTHING_DONE | {"memories": 1, "flip_flops": N_BITS + DATA_WIDTH}
    connections = memory["connections"]
    assert (connections["OCEA"], connections["OCEB"]) == ([OTHER], [ENABLE])


def multiplier_netlist():
    """A multiplier whose product, nets 200 and up, goes to flip-flops."""
    outputs = {f"P{i}": [200 + i] for i in range(N_BITS)}
    inputs = {f"A{i}": [300 + i] for i in range(18)} | {"SIGNEDA": ["1"]}
    multiplier = {
        "type": "MULT18X18D",
        "parameters": {},
        "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
        "connections": inputs | outputs,
    }
    cells = {"m": multiplier} | {f"ff_{name}": flip_flop(*bit) for name, bit in outputs.items()}
    return {"modules": {"top": {"cells": cells, "ports": {}}}}


@pytest.mark.parametrize("is_enabled", [True, False])
def test_registers_behind_a_multiplier_become_its_own(is_enabled):
    design = multiplier_netlist()
    cells = design["modules"]["top"]["cells"]
    if not is_enabled:
        always_enabled(cells)
    done = use_block_registers(design, "top")
    assert done == NOTHING_DONE | {"products": 1, "flip_flops": N_BITS}
    assert list(cells) == ["m"]
    multiplier = cells["m"]
    assert multiplier["parameters"] == {
        "REG_OUTPUT_CLK": "CLK0",
        "REG_OUTPUT_CE": "CE0",
        "REG_OUTPUT_RST": "RST0",
    }
    connections = multiplier["connections"]
    assert [connections[f"P{i}"] for i in range(N_BITS)] == [[1200 + i] for i in range(N_BITS)]
    assert connections["CLK0"] == [CLOCK] and connections["RST0"] == ["0"]
    assert connections["CE0"] == [ENABLE if is_enabled else "1"]
    assert set(multiplier["port_directions"]) == set(connections)


def product_read_twice(top):
    top["cells"]["other"] = flip_flop(201)


def product_read_outside(top):
    top["ports"]["product"] = {"direction": "output", "bits": [202]}


def product_of_other_enable(top):
    top["cells"]["ff_P0"] = flip_flop(200, enable=OTHER)


def product_with_reset(top):
    top["cells"]["ff_P0"]["connections"]["LSR"] = [OTHER]


def product_in_logic(top):
    top["cells"]["ff_P0"]["type"] = "LUT4"


def factor_registered_already(top):
    top["cells"]["m"]["parameters"]["REG_INPUTA_CLK"] = "CLK0"


def nobody_multiplies(top):
    for name in [n for n in top["cells"] if n != "m"]:
        del top["cells"][name]


@pytest.mark.parametrize(
    "change",
    [
        product_read_twice,
        product_read_outside,
        product_of_other_enable,
        product_with_reset,
        product_in_logic,
        factor_registered_already,
        nobody_multiplies,
    ],
)
def test_what_would_change_a_product_stays(change):
    design = multiplier_netlist()
    change(design["modules"]["top"])
    before = copy.deepcopy(design)
    assert use_block_registers(design, "top") == NOTHING_DONE
    assert design == before


def factors_netlist():
    """Two multipliers whose factors, nets 1300 and up, come from flip-flops; one of the factors is
    the same."""
    design = multiplier_netlist()
    cells = design["modules"]["top"]["cells"]
    for name in [name for name in cells if name != "m"]:
        del cells[name]
    for name, first in (("m", 1300), ("n", 1320)):
        factors = {f"A{i}": [first + min(i, N_BITS - 1)] for i in range(18)}  # with its sign
        factors |= {f"B{i}": [1310 + i] if i < N_BITS else ["0"] for i in range(18)}
        inputs = factors | {"SIGNEDA": ["1"]}
        outputs = {"P0": [{"m": 200, "n": 201}[name]]}
        cells[name] = copy.deepcopy(cells["m"])
        cells[name] |= {
            "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
            "connections": inputs | outputs,
        }
    for first in (300, 310, 320):
        cells |= {f"ff_{bit}": flip_flop(bit) for bit in range(first, first + N_BITS)}
    design["modules"]["top"]["ports"] = {"p": {"direction": "output", "bits": [200, 201]}}
    return design


@pytest.mark.parametrize("is_read_elsewhere", [False, True])
def test_registers_before_multipliers_become_their_own(is_read_elsewhere):
    design = factors_netlist()
    top = design["modules"]["top"]
    if is_read_elsewhere:
        top["ports"]["factor"] = {"direction": "output", "bits": [1312]}
    done = use_block_registers(design, "top")
    n_kept = int(is_read_elsewhere)
    assert done == NOTHING_DONE | {"factors": 2, "flip_flops": 3 * N_BITS - n_kept}
    assert set(top["cells"]) == {"m", "n", *(["ff_312"] if is_read_elsewhere else [])}
    for name, first in (("m", 300), ("n", 320)):
        cell = top["cells"][name]
        assert cell["parameters"] == {
            f"REG_INPUT{factor}_{kind}": value
            for factor in "AB"
            for kind, value in (("CLK", "CLK0"), ("CE", "CE1"), ("RST", "RST0"))
        }
        connections = cell["connections"]
        assert [connections[f"A{i}"] for i in range(18)] == [
            [first + min(i, N_BITS - 1)] for i in range(18)
        ]
        assert [connections[f"B{i}"] for i in range(18)] == [
            [310 + i] if i < N_BITS else ["0"] for i in range(18)
        ]
        assert connections["CLK0"] == [CLOCK] and connections["RST0"] == ["0"]
        assert connections["CE1"] == [ENABLE]
        assert set(cell["port_directions"]) == set(connections)


def test_both_sides_of_a_multiplier_are_enabled_by_themselves():
    design = factors_netlist()
    cells = design["modules"]["top"]["cells"]
    del design["modules"]["top"]["ports"]["p"]
    cells |= {f"product_{bit}": flip_flop(bit, enable=OTHER) for bit in (200, 201)}
    done = use_block_registers(design, "top")
    n_flip_flops = 3 * N_BITS + 2
    assert done == NOTHING_DONE | {"products": 2, "factors": 2, "flip_flops": n_flip_flops}
    for name in "mn":
        connections = cells[name]["connections"]
        assert (connections["CE0"], connections["CE1"]) == ([OTHER], [ENABLE])


def factor_from_logic(top):
    for first in (310, 320):
        top["cells"][f"ff_{first}"]["type"] = "LUT4"


def factor_is_one(top):
    for name in "mn":
        top["cells"][name]["connections"]["B17"] = ["1"]


def factors_of_other_enable(top):
    top["cells"]["ff_311"] = flip_flop(311, enable=OTHER)


def factor_starts_at_one(top):
    top["cells"]["ff_312"]["parameters"]["REGSET"] = "SET"


def factor_with_reset(top):
    top["cells"]["ff_310"]["connections"]["LSR"] = [OTHER]


def product_of_other_clock(top):
    for name in "mn":
        top["cells"][name]["connections"]["CLK0"] = [OTHER]
        top["cells"][name]["port_directions"]["CLK0"] = "input"


def factors_registered_already(top):
    for name in "mn":
        top["cells"][name]["parameters"]["REG_INPUTB_CLK"] = "CLK0"


@pytest.mark.parametrize(
    "change",
    [
        factor_from_logic,
        factor_is_one,
        factors_of_other_enable,
        factor_starts_at_one,
        factor_with_reset,
        product_of_other_clock,
        factors_registered_already,
    ],
)
def test_what_would_change_a_factor_stays(change):
    design = factors_netlist()
    change(design["modules"]["top"])
    before = copy.deepcopy(design)
    assert use_block_registers(design, "top") == NOTHING_DONE
    assert design == before
