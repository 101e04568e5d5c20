# SPDX-License-Identifier: Apache-2.0
"""Images per second on a board, from the estimate of the chip and the bytes on the line."""

import math

import pytest

from stemcore.compiler.virtual.parts import load_words
from stemcore.compiler.virtual.times import estimate_virtual
from stemcore.golden.spec.codec import CodecParams
from stemcore.runtime.fpga.build import make_design
from stemcore.runtime.fpga.network import link_of, network_on
from stemcore.runtime.fpga.rates import estimate_rates, line_seconds
from tests.support.hand_programs import conv_chain_program

MHZ, BAUD = 75.0, 1_000_000


@pytest.fixture(scope="module")
def program():
    return conv_chain_program(1)[0]


def rates_of(program, n_nodes, baud=BAUD):
    return estimate_rates(
        program,
        None,
        n_nodes=n_nodes,
        clock_mhz=MHZ,
        link_seconds=lambda n_words: line_seconds(n_words, baud),
    )


def test_line_decides_where_it_is_slower_than_the_chip(program):
    rates, chip = rates_of(program, len(program.cores))
    (times,) = estimate_virtual(chip).groups
    line = max(line_seconds(times.flits_in, BAUD), line_seconds(times.flits_out, BAUD))
    assert (rates.groups, len(chip.parts)) == (1, 1)
    assert line > times.interval / (MHZ * 1e6)
    assert rates.compute_s == pytest.approx(times.interval / (MHZ * 1e6))
    assert rates.transfer_s == pytest.approx(line)
    assert rates.images_per_s == pytest.approx(1 / line)
    assert rates.images_per_s_chip == pytest.approx(MHZ * 1e6 / times.interval)


def test_chip_decides_where_the_line_is_fast(program):
    rates, _ = rates_of(program, len(program.cores), baud=1e12)
    assert rates.images_per_s == pytest.approx(rates.images_per_s_chip)


def test_cores_that_take_turns_pay_for_their_loads(program):
    all_there, _ = rates_of(program, len(program.cores))
    rates, chip = rates_of(program, 1)
    assert rates.groups == len(program.cores) and rates.batch == chip.batch
    in_bursts = sum(line_seconds(load_words(part.program), BAUD) for part in chip.parts)
    in_flits = sum(line_seconds(group.load, BAUD) for group in estimate_virtual(chip).groups)
    assert in_bursts <= rates.load_s < in_flits
    assert rates.images_per_s < all_there.images_per_s
    image = 1 / rates.images_per_s - rates.load_s / rates.batch
    assert image >= max(rates.compute_s, rates.transfer_s) * (1 - 1e-9)


def test_a_load_is_no_faster_than_a_flit_in_each_cycle_of_either_clock(program):
    """A burst has half the words on a fast bus; its flits are made and taken one by one."""
    sizes = [group.load for group in estimate_virtual(rates_of(program, 1)[1]).groups]
    for mhz, host_mhz in ((MHZ, 200.0), (150.0, 100.0)):
        rates, _ = estimate_rates(
            program,
            None,
            n_nodes=1,
            clock_mhz=mhz,
            link_seconds=lambda n_words: n_words / 1e8,
            host_mhz=host_mhz,
        )
        assert rates.load_s == pytest.approx(sum(sizes) / (min(mhz, host_mhz) * 1e6))


def test_link_is_the_boards():
    serial, bus = (link_of(make_design(name)) for name in ("ulx3s", "kv260"))
    assert serial(100) == line_seconds(100, 1_000_000)
    assert bus(100) == pytest.approx(1e-6)


@pytest.mark.slow
def test_cores_that_take_turns_need_the_mesh_that_they_are_placed_on():
    design = make_design("ulx3s", nodes=(1, 2))
    message = r"^nodes: must be 2x1 for digits_cnn, whose 6 cores take turns, got 1x2$"
    with pytest.raises(ValueError, match=message):
        network_on(design, model="digits_cnn", say=lambda line: None)


def test_a_codec_makes_words_of_values(program):
    """The line is as long as the bytes of the image, or of the output, with a header each."""
    rates, chip = estimate_rates(
        program,
        None,
        n_nodes=len(program.cores),
        clock_mhz=MHZ,
        link_seconds=lambda n_words: line_seconds(n_words, BAUD),
        codec=CodecParams(),
    )
    sizes = [
        8 + 8 * -(-math.prod(population.shape) // 8)
        for population in (program.input, program.output_populations[0])
    ]
    assert (rates.bytes_in, rates.bytes_out) == tuple(sizes) and len(chip.parts) == 1
    assert rates.transfer_s == pytest.approx(line_seconds(max(sizes) / 8, BAUD))
    assert rates.groups_as_bytes == 1


def test_a_program_too_large_for_a_codec_is_estimated_with_flits(program):
    small = CodecParams(n_values=8, n_outputs=8)
    plain, _ = rates_of(program, 1)
    rates, _ = estimate_rates(
        program,
        None,
        n_nodes=1,
        clock_mhz=MHZ,
        link_seconds=lambda n_words: line_seconds(n_words, BAUD),
        codec=small,
    )
    assert rates == plain and rates.groups_as_bytes == 0
