# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from stemcore.golden.arithmetic.stem import decode
from stemcore.golden.reference.event_engine import run_events
from stemcore.golden.spec.fields import Kind, Memory
from stemcore.golden.spec.registers import Control
from tests.support.edit_program import shortened, with_field, with_register
from tests.support.hand_programs import conv_chain_program, dense_program
from tests.support.random_networks import random_image


@pytest.mark.medium
def test_order_of_arrival_changes_nothing(rng):
    program, _ = conv_chain_program(4)
    image = random_image(rng, program.input, 1)[0]
    first = run_events(program, image)
    for _ in range(3):
        other = run_events(program, image, order=rng, keep_packets=True)
        np.testing.assert_array_equal(other.outputs, first.outputs)
        assert other.counters == first.counters
        assert sorted(other.trace) == sorted(first.trace)


@pytest.mark.medium
def test_packets_of_a_source_come_plane_by_plane(rng):
    program, _ = conv_chain_program(4)
    image = random_image(rng, program.input, 1)[0]
    packets = run_events(program, image, keep_packets=True).packets
    host = [p for p in packets if p.nodes == (0, 1, 1, 1)]
    assert [p.kind for p in host] == [Kind.SPIKE] * (len(host) - 1) + [Kind.END]
    keys = [(p.t, *p.source[1:], p.source[0]) for p in host[:-1]]
    assert keys == sorted(set(keys))
    assert sum(p.kind is Kind.END for p in packets) == 4


def test_trace_holds_the_trains_of_the_values(rng):
    program, _ = dense_program(2)
    image = random_image(rng, program.input, 1)[0]
    result = run_events(program, image)
    trains = np.zeros((5, 8), np.uint8)
    for entry in result.trace:
        assert entry.core == (0, 1)
        assert entry.spike == (entry.v >= 1 << (4 - entry.step))
        trains[entry.step, entry.neuron[0]] = entry.spike
    values = decode(trains, True)
    np.testing.assert_array_equal(values[:6], result.outputs.reshape(-1))
    assert not values[6:].any()
    assert result.counters[0].fired == trains.sum()


IMAGE = np.full((2, 4, 4), 255)
CONV = conv_chain_program(0)[0]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            shortened(CONV, 0, Memory.WEIGHT, 3),
            r"^core \(0, 1\): word \d+ of WEIGHT is read, 3 are in use$",
        ),
        (
            shortened(CONV, 0, Memory.TABLE_X, 3),
            r"^core \(0, 1\), axon 0: neuron \(0, 0, 3\) needs table words beyond those in use$",
        ),
        (
            with_field(CONV, 0, Memory.AXON, 0, shift0=3),
            r"^core \(0, 1\), axon 0: shift0 3 is less than the time step 4$",
        ),
        (
            with_register(CONV, 2, Control.N_SOURCES, 3),
            r"^core \(0, 2\): waits for 3 END, got 2$",
        ),
        (
            with_register(CONV, 2, Control.N_SOURCES, 1),
            r"^core \(0, 2\): gets a packet after the sample's last END$",
        ),
        (
            with_field(CONV, 2, Memory.DESTINATION, 0, x0=1, x1=1, y0=2, y1=2),
            r"^node \(1, 2\): receives a packet and has no core$",
        ),
    ],
)
def test_run_events_names_what_goes_wrong(program, message):
    with pytest.raises(ValueError, match=message):
        run_events(program, IMAGE)


def test_run_events_waits_for_every_output():
    program, _ = dense_program(0)
    silent = with_register(program, 0, Control.END_LIST, 0)
    with pytest.raises(ValueError, match=r"^host: waits for 1 END, got 0$"):
        run_events(silent, np.zeros((1, 2, 2), int))
