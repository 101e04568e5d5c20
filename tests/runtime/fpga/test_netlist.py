# SPDX-License-Identifier: Apache-2.0
"""A node after synthesis, in the place of its RTL."""

import os
import random
import re
from dataclasses import replace

import pytest

from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.compiler.virtual.chip import virtual_chip
from stemcore.folders import results
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.boards.board import get_board
from stemcore.runtime.errors import EngineError
from stemcore.runtime.fpga.cell_models import ECP5_CELLS
from stemcore.runtime.fpga.netlist import (
    ECP5_FAMILY,
    XC7_FAMILY,
    XCUP_FAMILY,
    family_of,
    node_netlist,
)
from stemcore.runtime.fpga.netlist_check import (
    Agreement,
    check_netlist,
    compare_flits,
    simulate_netlist,
)
from stemcore.runtime.fpga.netlist_run import netlist_line
from stemcore.runtime.host.verilog_bench import write_bench
from stemcore.runtime.prepare import prepare
from stemcore.runtime.prepared import compile_program
from stemcore.runtime.settings import Settings
from stemcore.runtime.toolchain.icarus import compile_verilog, run_vvp
from tests.support.chip_programs import mesh_case

OUT = results() / "netlist-tests"
TINY = get_preset("tiny")


FAMILIES = {
    ECP5_FAMILY: ("LUT4", "TRELLIS_FF", "DP16KD", "MULT18X18D", "CCU2C", "TRELLIS_DPR16X4"),
    XC7_FAMILY: ("LUT6", "FDRE", "RAMB18E1", "DSP48E1", "CARRY4", "RAM64M"),
    XCUP_FAMILY: ("LUT6", "FDRE", "URAM288", "DSP48E2", "CARRY4", "RAM64M8", "RAM32M16"),
}


@pytest.fixture(scope="module")
def bench():
    """A random network on one node of preset tiny, and what golden computes."""
    network, program, images = mesh_case(1, 1)
    expected = run_network(network, images)[program.output]
    return write_bench(program, images, OUT / f"node-{os.getpid()}", expected=expected)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize(
    "family",
    [
        pytest.param(ECP5_FAMILY, id="ecp5"),
        pytest.param(XC7_FAMILY, id="xc7", marks=pytest.mark.long),
        pytest.param(XCUP_FAMILY, id="xcup", marks=pytest.mark.long),
    ],
)
def test_netlist_sends_every_flit_in_its_cycle(bench, family):
    made = node_netlist(TINY, family)
    text = made.read_text()
    for cell in FAMILIES[family]:
        assert f"  {cell} " in text
    assert check_netlist(bench, made, family, "icarus").flits > 80


@pytest.mark.sim
@pytest.mark.slow
def test_digits_cnn_runs_on_the_netlist_of_one_node():
    """Cores take turns on the node: the first, of a convolution, which reads the image."""
    settings = Settings("digits_cnn", dataset="digits", preset="tiny")
    prepared = prepare(settings, n_train=CALIBRATION_IMAGES, n_test=1)
    chip = virtual_chip(compile_program(prepared), 1)
    image = prepared.integers[:1]
    expected = prepared.network.joined(run_network(prepared.network, image))
    found = simulate_netlist(
        chip, image, ECP5_FAMILY, expected=expected, name="digits_cnn-test", groups=[0]
    )
    assert (found["groups"], found["images"]) == (1, 1) and found["flits"] > 500


def test_outputs_that_are_not_goldens_are_an_error():
    network, program, images = mesh_case(1, 1)
    wrong = run_network(network, images)[program.output] + 1
    with pytest.raises(EngineError, match=r"^netlist: outputs must be those of golden"):
        simulate_netlist(program, images, ECP5_FAMILY, expected=wrong, name="none", groups=())


@pytest.mark.sim
@pytest.mark.slow
def test_one_wrong_lookup_table_is_noticed(bench, tmp_path):
    """A table between a flit that leaves the core and a register, inverted."""
    text = node_netlist(TINY).read_text()
    found = next(
        table
        for table in re.finditer(r"  LUT4 #\(\n    \.INIT\(16'h(\w{4})\)\n  \) ([^;]*);", text)
        if "(sent)" in table[2] and re.search(r"\.Z\(\S+_DI ?\)", table[2])
    )
    wrong = f"{int(found[1], 16) ^ 0xFFFF:04x}"
    faulty = tmp_path / "netlist.v"
    faulty.write_text(text[: found.start(1)] + wrong + text[found.end(1) :])
    with pytest.raises(
        EngineError, match=r"^netlist: flit \d+ \(cycle, node, flit\) must be that of"
    ):
        check_netlist(bench, faulty, ECP5_FAMILY, "icarus")


@pytest.mark.parametrize(
    ("got", "message"),
    [
        ("1 0 a\n2 0 b\n", None),
        ("1 0 a\n3 0 b\n", r"flit 2 .* 2 0 b; got 3 0 b;"),
        ("1 0 a\n", r"flit 2 .* 2 0 b; got nothing more;"),
        ("1 0 a\n2 0 b\n2 host b\n", r"flit 3 .* nothing more; got 2 host b;"),
    ],
)
def test_the_first_flit_that_differs_is_named(tmp_path, got, message):
    (tmp_path / "rtl").write_text("1 0 a\n2 0 b\n")
    (tmp_path / "netlist").write_text(got)
    files = tmp_path / "rtl", tmp_path / "netlist"
    if message is None:
        assert compare_flits(*files) == Agreement(flits=2, cycles=2)
    else:
        with pytest.raises(EngineError, match=message):
            compare_flits(*files)


def test_a_run_without_flits_is_no_agreement(tmp_path):
    for name in ("rtl", "netlist"):
        (tmp_path / name).write_text("")
    with pytest.raises(EngineError, match="must send flits"):
        compare_flits(tmp_path / "rtl", tmp_path / "netlist")


MULTIPLIER = """module bench;
  reg [17:0] a, b; reg signed_a, signed_b; wire [35:0] p;
  MULT18X18D dut({A}, {B},
    {P}, .CLK0(1'b0), .CE0(1'b1), .RST0(1'b0), .SIGNEDA(signed_a), .SIGNEDB(signed_b),
    .SOURCEA(1'b0), .SOURCEB(1'b0), {C});
  initial begin
{cases}
    $finish;
  end
endmodule
"""


@pytest.mark.sim
def test_the_multiplier_is_a_product_of_either_sign(tmp_path):
    numbers = random.Random(5)
    corners = [0, 1, (1 << 17) - 1, 1 << 17, (1 << 18) - 1]
    cases = [(a, b, sa, sb) for a in corners for b in corners for sa in (0, 1) for sb in (0, 1)]
    cases += [(*(numbers.getrandbits(n) for n in (18, 18, 1, 1)),) for _ in range(40)]
    pins = {
        "A": ", ".join(f".A{i}(a[{i}])" for i in range(18)),
        "B": ", ".join(f".B{i}(b[{i}])" for i in range(18)),
        "C": ", ".join(f".C{i}(1'b0)" for i in range(18)),
        "P": ", ".join(f".P{i}(p[{i}])" for i in range(36)),
    }
    lines = "\n".join(
        f'    a = {a}; b = {b}; signed_a = {sa}; signed_b = {sb}; #1 $display("p=%0d", p);'
        for a, b, sa, sb in cases
    )
    bench = tmp_path / "bench.v"
    bench.write_text(MULTIPLIER.format(cases=lines, **pins))
    program = compile_verilog([bench, *ECP5_CELLS.own_files], top="bench", out_dir=tmp_path)
    got = [int(p) for p in re.findall(r"p=(\d+)", run_vvp(program))]

    def value(word, is_signed):
        return word - (1 << 18) if is_signed and word >> 17 else word

    assert got == [value(a, sa) * value(b, sb) % (1 << 36) for a, b, sa, sb in cases]


def test_boards_whose_cells_have_models():
    assert family_of(get_board("ulx3s")) is ECP5_FAMILY
    assert family_of(get_board("arty_a7")) is XC7_FAMILY
    assert family_of(get_board("kv260")) is XCUP_FAMILY
    other = replace(get_board("kv260"), name="other", synthesis="-family xc6s")
    with pytest.raises(ValueError, match=r"^board: must be of ECP5, .* or of Ultra.* got other: "):
        family_of(other)


@pytest.mark.parametrize(("images", "groups", "said"), [(1, 1, "1 image,"), (2, 3, "s in 3")])
def test_report_line_says_what_was_equal(images, groups, said):
    figures = {"images": images, "groups": groups, "flits": 1234, "cycles": 98765, "seconds": 12.4}
    line = netlist_line(figures)
    assert line.startswith("netlist      equal to the RTL: ") and said in line
    assert "each of 1,234 flits in its cycle, of 98,765; 12 s" in line
