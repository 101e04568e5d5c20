# SPDX-License-Identifier: Apache-2.0
"""The top of a board: PLL, LEDs, pins and what is refused."""

import re

import pytest
from amaranth.sim import Simulator

from stemcore.golden.spec.fields import ALERT, Kind
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.boards.board import Board, boards, get_board
from stemcore.hdl.host.board_top import Lights, board_files, board_pll, get_platform
from stemcore.hdl.host.pll import (
    MAX_COMPARE_MHZ,
    MAX_DIVIDER,
    MAX_VCO_MHZ,
    MIN_COMPARE_MHZ,
    MIN_VCO_MHZ,
    find_pll,
)

WITH_PINS = [name for name, board in boards().items() if board.platform and board.family == "ecp5"]


@pytest.mark.parametrize("mhz", [12.5, 25, 33.3, 50, 62.5, 75, 80, 90, 100, 112.5, 125, 200, 400])
def test_pll_stays_within_its_limits(mhz):
    pll = find_pll(25, mhz)
    assert abs(pll.mhz - mhz) <= mhz / 20
    assert MIN_COMPARE_MHZ <= 25 / pll.input_divider <= MAX_COMPARE_MHZ
    assert MIN_VCO_MHZ <= pll.mhz * pll.output_divider <= MAX_VCO_MHZ
    for divider in (pll.input_divider, pll.feedback_divider, pll.output_divider):
        assert 1 <= divider <= MAX_DIVIDER


def test_pll_takes_the_nearest_frequency():
    assert find_pll(25, 75).mhz == 75 and find_pll(25, 80).mhz == 80
    assert find_pll(100, 75).mhz == 75


@pytest.mark.parametrize("mhz", [1, 900])
def test_pll_refuses_what_it_cannot_make(mhz):
    with pytest.raises(ValueError, match=rf"^clock: must be a frequency .*; got {mhz} MHz$"):
        find_pll(25, mhz)


def test_lights_tell_running_error_and_done():
    params = get_preset("tiny")
    lights = Lights(params=params, stretch_width=3)
    seen = []

    async def bench(ctx):
        def look():
            seen.append(tuple(ctx.get(getattr(lights, n)) for n in ("running", "error", "done")))

        async def flit(kind, moves=1):
            ctx.set(lights.flit.kind, kind.value)
            ctx.set(lights.moves, moves)
            await ctx.tick()
            ctx.set(lights.moves, 0)
            look()

        ctx.set(lights.quiet, 1)
        await flit(Kind.SPIKE)
        await flit(Kind.END, moves=0)
        await flit(Kind.END)
        await flit(ALERT)
        ctx.set(lights.quiet, 0)
        await ctx.tick()
        ctx.set(lights.quiet, 1)
        await ctx.tick()
        for _ in range(9):
            await ctx.tick()
            look()

    simulator = Simulator(lights)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen[:4] == [(0, 0, 0), (0, 0, 0), (0, 0, 1), (0, 1, 1)]
    # Seven cycles after the one in which the chip was last at work.
    assert [running for running, _, _ in seen[4:]] == [1, 1, 1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("name", WITH_PINS)
def test_board_has_the_pins_of_the_top(name):
    board = get_board(name)
    platform = get_platform(board)
    assert platform.lookup("uart", 0) and platform.lookup("led", 2)
    assert board_pll(board, board.clock_mhz).mhz == board.clock_mhz
    flag = platform._nextpnr_device_options[platform.device]
    package = platform._nextpnr_package_options[platform.package].upper()
    assert board.place_flags == (flag, "--package", package, "--speed", platform.speed)
    assert board.max_nodes(get_preset(board.presets[0])) >= 1 and board.loader


def test_nodes_are_as_many_as_block_memories_hold():
    assert get_board("ulx3s").max_nodes(get_preset("ecp5")) == 3
    assert get_board("ulx3s_25f").max_nodes(get_preset("tiny_fpga")) == 1
    assert get_board("ulx3s_25f").max_nodes(get_preset("ecp5")) == 0
    assert get_board("arty_a7").max_nodes(get_preset("artix")) == 4
    assert get_board("kv260").max_nodes(get_preset("kria")) == 4


def test_part_of_xilinx_has_the_names_of_its_tools():
    message = r"^board b: part and synthesis must be there for family xilinx alone, got '' and ''.*"
    with pytest.raises(ValueError, match=message):
        Board("b", "a board", "a part", "xilinx", (), ())


def test_board_with_pins_says_what_its_part_has():
    message = r"^board b: with pins, blocks and clock_mhz must be above 0, got 0 and 75.0$"
    with pytest.raises(ValueError, match=message):
        Board("b", "a board", "a part", "ecp5", (), (), platform="m:P", clock_mhz=75.0)


@pytest.mark.slow
def test_files_of_a_board_have_its_pins_and_clocks():
    sizes = {"params": get_preset("tiny"), "columns": 2, "rows": 1, "clock_mhz": 75.0}
    files = board_files(get_board("ulx3s"), **sizes, baud=1_000_000)
    assert (files.clock_mhz, files.divisor) == (75, 25)
    sites = dict(re.findall(r'LOCATE COMP "(\w+)" SITE "(\w+)"', files.constraints))
    assert sites == {
        "clk25_0__io": "G2",
        "uart_0__rx__io": "M1",
        "uart_0__tx__io": "L4",
        "button_fire_0__io": "R1",
        "led_0__io": "B2",
        "led_1__io": "C2",
        "led_2__io": "C1",
    }
    assert 'FREQUENCY NET "pll_clk" 75000000.0 HZ' in files.constraints
    assert "cell \\chip " in files.rtlil and "cell \\EHXPLLL " in files.rtlil
    for baud in (70_000_000, 10_000_000):
        with pytest.raises(ValueError, match=r"^baud: must be the clock of 25 MHz divided by .*"):
            board_files(get_board("ulx3s"), **sizes, baud=baud)
