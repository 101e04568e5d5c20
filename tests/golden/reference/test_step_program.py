# SPDX-License-Identifier: Apache-2.0
"""Programs with integration per time step: the program engine, its literal twin, the network."""

from dataclasses import replace

import numpy as np
import pytest

from stemcore.compiler.lowering.integrate import integrate
from stemcore.compiler.lowering.skip_buffers import buffer_skips
from stemcore.compiler.pipeline import compile_network
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population
from stemcore.golden.reference.event_engine import run_events
from stemcore.golden.reference.program_engine import COUNTERS, run_program
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from tests.support.edit_program import with_field, with_register
from tests.support.modes import STEP_MODES
from tests.support.random_networks import random_images, random_stepped_network

TINY = get_preset("tiny")


def params_of(mode, multipliers=True):
    return TINY.with_(multipliers=multipliers).with_integration(mode.split("_")[0])


@pytest.mark.medium
@pytest.mark.parametrize("mode", STEP_MODES)
@pytest.mark.parametrize("case", range(4))
def test_programs_match_the_network_and_their_twin(case, mode, rng):
    multipliers = case % 2 == 0
    network = random_stepped_network(rng, mode, multipliers=multipliers, max_size=6, max_channels=6)
    program = compile_network(network, params_of(mode, multipliers))
    images = random_images(rng, network, 3)
    values, result = run_network(network, images), run_program(program, images)
    for name, got in result.values.items():
        np.testing.assert_array_equal(got, values[name], err_msg=name)
    for n, image in enumerate(images):
        literal = run_events(program, image, order=rng)
        np.testing.assert_array_equal(literal.outputs, result.outputs[n])
        for name, got in literal.values.items():
            np.testing.assert_array_equal(got, values[name][n], err_msg=name)
        for counter in COUNTERS:
            got = [getattr(core, counter) for core in literal.counters]
            np.testing.assert_array_equal(got, result.counters[counter][n], err_msg=counter)


def chain(rng, mode="late"):
    """Two dense layers of T = 8, as a program."""
    layers = []
    for name, source, n_in, n_out in (("first", INPUT, 3, 5), ("second", "first", 5, 2)):
        weight = rng.integers(-127, 128, (n_out, n_in, 1, 1)).astype(np.int8)
        layers.append(
            Layer(
                name,
                (n_out, 1, 1),
                (Connection(source, weight),),
                np.zeros(n_out, np.int64),
                np.ones(n_out, np.int64),
                np.full(n_out, 7),
            )
        )
    network = Network("chain", Population(INPUT, (3, 1, 1), 8, True), tuple(layers), {})
    images = random_images(rng, network, 4)
    network = integrate(network, mode, images)
    return compile_network(network, params_of(mode)), images


def test_a_signed_source_counts_negative_in_its_first_step(rng):
    program, images = chain(rng)
    images[:] = -127
    literal = run_events(program, images[0])
    np.testing.assert_array_equal(run_program(program, images[:1]).outputs[0], literal.outputs)


def integration(**fields):
    return Formats(params_of("late")).integration.pack(**fields)


@pytest.mark.parametrize(
    ("mode", "register", "message"),
    [
        (
            "late",
            {"steps": 1, "multiplier": 0, "shift": 2},
            r"^core \(\d, 1\) of first: INTEGRATION\.steps must lie in 2\.\.8, got 1$",
        ),
        (
            "late",
            {"steps": 7, "multiplier": 0, "shift": 2},
            r"^core .*, axon 0: INTEGRATION\.steps must be the 8 time steps that host .*, got 7$",
        ),
        (
            "late",
            {"steps": 8, "multiplier": 0, "shift": 16},
            r"^core .* of first: INTEGRATION: Late: shift must lie in 0\.\.15, got 16$",
        ),
        (
            "scaled",
            {"steps": 8, "multiplier": 0, "shift": 2},
            r"^core .* of first: INTEGRATION: Scaled: multiplier must lie in 1\.\.65535 .*got 0 / ",
        ),
    ],
)
def test_constants_that_contradict_the_program_are_refused(mode, register, message, rng):
    program, images = chain(rng, mode)
    program = with_register(program, 0, Control.INTEGRATION, integration(**register))
    with pytest.raises(ValueError, match=message):
        run_program(program, images)


def test_sums_beyond_16_bits_are_refused(rng):
    program, images = chain(rng)
    program = with_field(program, 0, Memory.AXON, 0, shift0=9)
    with pytest.raises(ValueError, match=r"^core .* of first: sums of a time step must fit in 16 "):
        run_program(program, images)


def shortcut(rng):
    """input -> a -> b, and the input onto b too, with constants but without delays."""
    network = Network("shortcut", Population(INPUT, (4, 1, 1), 8, False), (), {})
    weight = rng.integers(-20, 21, (4, 4, 1, 1)).astype(np.int8)
    identity = Connection(INPUT, np.ones((4, 1, 1, 1), np.int8), groups=4)
    for name, connections in (
        ("a", (Connection(INPUT, weight),)),
        ("b", (Connection("a", weight), identity)),
    ):
        layer = Layer(
            name,
            (4, 1, 1),
            connections,
            np.zeros(4, np.int64),
            np.ones(4, np.int64),
            np.full(4, 6),
        )
        network = replace(network, layers=(*network.layers, layer))
    images = random_images(rng, network, 2)
    balanced = integrate(buffer_skips(network), "late", images)
    neuron = balanced.layers[-1].neuron
    bare = tuple(replace(layer, neuron=neuron) for layer in network.layers)
    return balanced, replace(network, layers=bare), images


def test_a_shortcut_without_a_delay_stands_still_and_is_refused(rng):
    balanced, bare, images = shortcut(rng)
    program = compile_network(balanced, params_of("late"))
    run_program(program, images)
    run_events(program, images[0])
    program = compile_network(bare, params_of("late"))
    message = (
        r"^core .* of b: reads .* over \d layers and others over \d; with tokens per time step it "
        r"would wait for ever: delay the shorter way by identity layers$"
    )
    with pytest.raises(ValueError, match=message):
        run_program(program, images)
    # What the message says: the host waits for the second layer's CREDIT.
    with pytest.raises(ValueError, match=r"^node \(0, 0\): waits for 2 CREDIT, got 1$"):
        run_events(program, images[0])
