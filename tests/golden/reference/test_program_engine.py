# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from stemcore.golden.network.forward import n_sops, run_network
from stemcore.golden.reference import program_engine as mesh
from stemcore.golden.reference.event_engine import run_events
from stemcore.golden.reference.program_engine import COUNTERS, Mesh, run_program
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.registers import Control
from tests.support.edit_program import with_field, with_register
from tests.support.hand_programs import conv_chain_program, dense_program
from tests.support.random_networks import random_image


def raw_program(seed):
    """The chain, its convolution in raw mode: what it fires is the low byte of its sums."""
    program, network = conv_chain_program(seed)
    raw = Formats(program.params).mode.pack(
        bits=8, is_signed=0, use_lookup=0, bias_shift=0, is_raw=1, gap=0
    )
    for core in range(2):
        program = with_register(program, core, Control.MODE, raw)
    return program, network


PROGRAMS = {
    "dense": lambda seed: dense_program(seed),
    "dense-multipliers": lambda seed: dense_program(seed, multipliers=True),
    "dense-lookup": lambda seed: dense_program(seed, lookup=True),
    "conv_chain": conv_chain_program,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PROGRAMS)
def test_run_program_computes_the_network(name, seed, rng):
    program, network = PROGRAMS[name](seed)
    images = random_image(rng, program.input, 20)
    result = run_program(program, images)
    values = run_network(network, images)
    assert set(result.values) == {layer.name for layer in network.layers}
    for layer, got in result.values.items():
        np.testing.assert_array_equal(got, values[layer], err_msg=layer)
    np.testing.assert_array_equal(result.outputs, values[program.output])


@pytest.mark.medium
@pytest.mark.parametrize("name", [*PROGRAMS, "raw"])
def test_run_program_matches_its_literal_twin(name, rng):
    program, _ = (PROGRAMS | {"raw": raw_program})[name](5)
    images = random_image(rng, program.input, 3)
    result = run_program(program, images)
    for n, image in enumerate(images):
        literal = run_events(program, image)
        np.testing.assert_array_equal(result.outputs[n], literal.outputs)
        for layer, values in literal.values.items():
            np.testing.assert_array_equal(result.values[layer][n], values, err_msg=layer)
        for counter in COUNTERS:
            expected = [getattr(core, counter) for core in literal.counters]
            np.testing.assert_array_equal(result.counters[counter][n], expected, err_msg=counter)
        assert result.input_spikes[n] == literal.input_spikes


def test_sops_of_the_cores_are_those_of_the_network(rng):
    program, network = conv_chain_program(1)
    images = random_image(rng, program.input, 4)
    sops = run_program(program, images).counters["sops"]
    expected = n_sops(network, run_network(network, images))
    np.testing.assert_array_equal(sops[:, 0] + sops[:, 1], expected["conv"])
    np.testing.assert_array_equal(sops[:, 2], expected["dense"])


def test_counters_of_one_spike_are_as_documented():
    program, _ = conv_chain_program(0)
    image = np.zeros((1, 2, 4, 4), int)
    silent = run_program(program, image)
    image[0, 1, 0, 2] = 16  # one spike at the upper edge: 2 x 3 taps
    result = run_program(program, image)
    assert result.input_spikes.tolist() == [1]
    for core in range(2):
        assert result.counters["spikes_in"][0, core] == 1
        assert result.counters["ops"][0, core] == 6
        assert result.counters["sops"][0, core] == 24
    assert not silent.counters["ops"][:, :2].any()
    fired = result.counters["fired"]
    np.testing.assert_array_equal(result.counters["spikes_out"], fired)
    assert result.counters["spikes_in"][0, 2] == fired[0, 0] + fired[0, 1]


def test_run_program_does_not_depend_on_batches(rng, monkeypatch):
    program, _ = conv_chain_program(3)
    images = random_image(rng, program.input, 5)
    whole = run_program(program, images)
    monkeypatch.setattr(mesh, "BATCH", 2)
    parts = Mesh(program).run(images)
    np.testing.assert_array_equal(parts.outputs, whole.outputs)
    for name, counts in whole.totals().items():
        np.testing.assert_array_equal(parts.totals()[name], counts, err_msg=name)
    assert run_program(program, images[:0]).outputs.shape == (0, 3, 1, 1)


def test_multicast_to_the_same_core_twice_is_refused():
    program, _ = conv_chain_program(0)
    program = with_field(program, 0, Memory.DESTINATION, 1, x0=0, y0=2, x1=0, y1=2)
    program = with_field(program, 0, Memory.FIRE, 0, count=2)
    message = r"^core \(0, 2\) of dense, axon 0: neuron c 0, y 0, x 0 of conv arrives 2 times; "
    with pytest.raises(ValueError, match=message):
        Mesh(program)


def test_lanes_without_a_neuron_must_stay_silent():
    program, _ = dense_program(0)
    layout = mesh.Topology(program).cores[0]._formats
    loud = layout.requant_lane.pack(bias=100 << 6, multiplier=1, shift=6)
    program = with_field(program, 0, Memory.REQUANT, 3, lane1=loud)
    message = (
        r"^core \(0, 1\) of dense: lane 3 of word 1 fires as channel 7, dense has 6; "
        r"idle lanes must stay silent$"
    )
    with pytest.raises(ValueError, match=message):
        run_program(program, np.zeros((1, 1, 2, 2), int))


def test_neurons_that_nobody_fires_are_named():
    program, _ = conv_chain_program(0)
    program = with_field(program, 0, Memory.FIRE, 3, x=0)
    # The dense core would read two neurons as one.
    with pytest.raises(ValueError, match=r"^core \(0, 2\) of dense, axon 0: neuron .* arrives 2"):
        run_program(program, np.zeros((1, 2, 4, 4), int))
    program = with_field(program, 0, Memory.FIRE, 3, count=0)
    message = r"^conv_chain: no core fires neuron c 0, y 1, x 1 of conv$"
    with pytest.raises(ValueError, match=message):
        run_program(program, np.zeros((1, 2, 4, 4), int))


def test_fire_coordinates_beyond_the_layer_are_named():
    program, _ = dense_program(0)
    program = with_field(program, 0, Memory.FIRE, 0, y=1)
    message = r"^core \(0, 1\) of dense: FIRE coordinates must lie in 1 x 1 positions$"
    with pytest.raises(ValueError, match=message):
        run_program(program, np.zeros((1, 1, 2, 2), int))


def test_outputs_must_reach_the_host_once():
    program, _ = dense_program(0)
    with pytest.raises(ValueError, match=r"^dense: no core fires neuron c 4, .* to the host$"):
        run_program(with_field(program, 0, Memory.FIRE, 1, count=0), np.zeros((1, 1, 2, 2), int))
    entries = program.cores[0].memories[Memory.DESTINATION].repeat(2, axis=0)
    image = replace(
        program.cores[0], memories={**program.cores[0].memories, Memory.DESTINATION: entries}
    )
    twice = with_field(replace(program, cores=(image,)), 0, Memory.FIRE, 1, count=2)
    with pytest.raises(
        ValueError, match=r"^dense: neuron c 4, y 0, x 0 of dense reaches the host 2"
    ):
        run_program(twice, np.zeros((1, 1, 2, 2), int))


def test_potentials_beyond_the_accumulator_are_named():
    program, _ = dense_program(0)
    program = with_field(program, 0, Memory.AXON, 0, shift0=15)
    message = (
        r"^core \(0, 1\) of dense: sums of a sample must fit in 16 signed bits, reached "
        r"-?\d+\.\.-?\d+; the layer needs smaller weights or a wider accumulator$"
    )
    narrow = replace(program, params=program.params.with_(acc_width=16))
    with pytest.raises(ValueError, match=message):
        run_program(narrow, np.full((1, 1, 2, 2), 7))


def test_run_program_refuses_images_beyond_the_input():
    program, _ = dense_program(0)
    with pytest.raises(ValueError, match=r"^images: values must lie in -7\.\.7 \(4 bits, signed\)"):
        run_program(program, np.full((1, 1, 2, 2), 8))


def test_hops_are_links_by_the_node_they_begin_at():
    program, _ = conv_chain_program(0)
    image = np.zeros((1, 2, 4, 4), int)
    silent = run_program(program, image)
    image[0, 0, 3, 3] = 64  # one spike, to both cores of the upper row
    result = run_program(program, image)
    # The host's spike enters at (0, 1) and goes on to (1, 1); both cores of the row send what they
    # fire to (0, 2): (1, 1) West or South, and the dense core to the host through (0, 1).
    by_node = dict(
        zip([(c.x, c.y) for c in program.cores], result.counters["hops"][0], strict=True)
    )
    fired = dict(zip([(c.x, c.y) for c in program.cores], result.counters["fired"][0], strict=True))
    assert list(by_node) == [(0, 1), (1, 1), (0, 2)]
    assert by_node[0, 1] == 1 + fired[0, 1] + fired[1, 1] + fired[0, 2]
    assert by_node[1, 1] == fired[1, 1]
    assert by_node[0, 2] == fired[0, 2]
    assert silent.input_spikes.tolist() == [0]
