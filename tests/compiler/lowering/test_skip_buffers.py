# SPDX-License-Identifier: Apache-2.0
"""Skip buffers leave every value as it is, and every connection between neighbouring stages."""

from dataclasses import replace

import numpy as np
import pytest

from stemcore.compiler.errors import CompileError
from stemcore.compiler.estimation.estimate import estimate
from stemcore.compiler.lowering.skip_buffers import (
    buffer_skips,
    check_choice,
    last_stage,
    may_leave_out,
    skip_buffer_name,
    skips_stages,
    stages,
)
from stemcore.compiler.pipeline import compile_network
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population
from stemcore.golden.network.results import Output, Results
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.presets import get_preset
from tests.support.chains import chain
from tests.support.random_networks import random_images

TINY = get_preset("tiny")


def residual(rng, n_blocks=2, *, is_signed=False):
    """Blocks of two convolutions around an identity; the first skip comes from the input."""
    source = Population("x", (4, 6, 6), 5, is_signed)
    layers, name = [], INPUT
    for block in range(n_blocks):
        last = block == n_blocks - 1
        for part, skip in (("a", None), ("b", name)):
            weight = rng.integers(-20, 21, (4, 4, 3, 3)).astype(np.int8)
            connections = [Connection(name, weight, padding=(1, 1))]
            if skip is not None:
                ones = np.ones((4, 1, 1, 1), np.int8)
                connections.append(Connection(skip, ones, groups=4, shift=5))
            name = f"{part}{block}"
            layers.append(
                Layer(
                    name,
                    (4, 6, 6),
                    tuple(connections),
                    bias=rng.integers(-50, 50, 4),
                    multiplier=np.ones(4, np.int64),
                    shift=np.full(4, 6),
                    bits=5,
                    is_signed=is_signed and part == "b" and last,
                )
            )
    return Network("residual", source, tuple(layers), {INPUT: 0.5, "b0": 0.25})


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("n_blocks", [1, 2, 3])
def test_skip_buffers_keep_every_value(n_blocks, is_signed, rng):
    network = residual(rng, n_blocks, is_signed=is_signed)
    buffered = buffer_skips(network)
    images = random_images(rng, network, 3)
    want, got = run_network(network, images), run_network(buffered, images)
    assert want.keys() < got.keys()
    assert buffered.scales[skip_buffer_name(INPUT, 1)] == 0.5
    assert "b0.skip_buffer1" not in got or buffered.scales["b0.skip_buffer1"] == 0.25
    for name, values in want.items():
        np.testing.assert_array_equal(got[name], values)
    stage = stages(buffered)
    for layer in buffered.layers:
        assert {stage[c.source] for c in layer.connections} == {stage[layer.name] - 1}


def test_skip_buffers_are_shared(rng):
    network = residual(rng, 1)
    b = network.layers[1]
    extra = Layer(
        "c",
        b.shape,
        (
            Connection("b0", b.connections[0].weight, padding=(1, 1)),
            Connection(INPUT, np.ones((4, 1, 1, 1), np.int8), groups=4),
        ),
        b.bias,
        b.multiplier,
        b.shift,
        bits=5,
    )
    buffered = buffer_skips(Network("n", network.input, (*network.layers, extra), {}))
    names = [layer.name for layer in buffered.layers]
    assert names == [skip_buffer_name(INPUT, 1), skip_buffer_name(INPUT, 2), "a0", "b0", "c"]


def test_a_chain_needs_no_skip_buffer():
    network = chain((3, 6, 6), 4, 4, ("dense", 5))
    assert buffer_skips(network) is network
    assert not skips_stages(network)


def test_networks_that_skip_stages_are_known(rng):
    network = residual(rng)
    assert skips_stages(network)
    assert not skips_stages(buffer_skips(network))
    early = Results((Output("0", "a0"), Output("1", "a1")), '{"tuple": [0, 1]}')
    assert skips_stages(replace(chain_of_two(rng), results=early))


def chain_of_two(rng):
    """Two layers in a row."""
    plain = residual(rng, 1)
    second = replace(plain.layers[0], name="a1", connections=plain.layers[1].connections[:1])
    return replace(plain, layers=(plain.layers[0], second), scales={})


@pytest.mark.parametrize("integration", ["late", "scaled"])
def test_skip_buffers_are_needed_where_every_time_step_is_granted(integration):
    stepped = TINY.with_integration(integration)
    assert may_leave_out(TINY)
    assert not may_leave_out(stepped)
    for choice in (None, True):
        check_choice(choice, stepped)
    check_choice(False, TINY)
    with pytest.raises(CompileError, match=rf"^skip_buffers: must be all with .* {integration}"):
        check_choice(False, stepped)


@pytest.mark.medium
def test_skip_buffers_fill_the_pipeline(rng):
    network = residual(rng, 3)
    activity = dict.fromkeys((INPUT, *(layer.name for layer in network.layers)), 2.0)
    options = {"columns": 4, "rows": 4}
    alone = compile_network(network, TINY, **options, activity=activity)
    buffered = buffer_skips(network)
    activity = dict.fromkeys((INPUT, *(layer.name for layer in buffered.layers)), 2.0)
    program = compile_network(buffered, TINY, **options, activity=activity)
    images = random_images(rng, network, 2)
    assert np.array_equal(run_program(alone, images).outputs, run_program(program, images).outputs)
    assert estimate(program, activity).interval < 0.8 * estimate(alone).interval


def test_outputs_of_earlier_layers_wait_for_the_last(rng):
    plain = residual(rng)
    outputs = tuple(Output(str(n), plain.layers[at].name) for n, at in enumerate((0, -1, 1)))
    network = replace(plain, results=Results(outputs, '{"tuple": [0, 1, 2]}'))
    assert last_stage(network) == len(plain.layers) == last_stage(plain)
    buffered = buffer_skips(network)
    stage = stages(buffered)
    assert {stage[name] for name in buffered.output_layers} == {len(plain.layers)}
    images = random_images(rng, network, 3)
    values, expected = run_network(buffered, images), run_network(network, images)
    for output, before in zip(buffered.results.outputs, outputs, strict=True):
        assert np.array_equal(values[output.source], expected[before.source])
