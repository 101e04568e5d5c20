# SPDX-License-Identifier: Apache-2.0
"""Direct and position coding against a neuron in plain loops."""

import dataclasses

import numpy as np
import pytest

from stemcore.golden.network.forward import count_spikes, n_sops, run_network
from stemcore.golden.network.network import INPUT, Connection, Layer, MaxPool, Network, Population
from stemcore.golden.network.other_codes import DirectCode, position_coded


def small_network(rng, *, pool=None):
    """Two hidden layers and an answer, no padding, general multipliers."""

    def layer(name, source, c_in, shape, kernel, pool=None, is_signed=False):
        c = shape[0]
        weight = rng.integers(-40, 60, (c, c_in, kernel, kernel)).astype(np.int8)
        return Layer(
            name,
            shape,
            (Connection(source, weight),),
            rng.integers(-3000, 9000, c) << 8,
            rng.integers(1 << 15, 1 << 16, c),
            rng.integers(21, 24, c),
            is_signed=is_signed,
            pool=pool,
        )

    size = 4 if pool is None else 2
    layers = (
        layer("a", INPUT, 2, (3, 4, 4), 3, pool),
        layer("b", "a", 3, (4, size - 1, size - 1), 2),
        layer("c", "b", 4, (5, 1, 1), size - 1, is_signed=True),
    )
    source = Population(INPUT, (2, 6, 6), 8, True)
    return Network("small", source, layers, dict.fromkeys([INPUT, "a", "b", "c"], 1.0))


def plain(network, image, steps):
    """Neuron by neuron, step by step, on Python integers; returns (answers, spikes, SOPs)."""
    v = {layer.name: {} for layer in network.layers}
    spikes = {layer.name: 0 for layer in network.layers[:-1]}
    sops = {layer.name: 0 for layer in network.layers}
    answers = [0] * network.output.shape[0]
    for _ in range(steps):
        values = {INPUT: image.tolist()}
        for layer in network.layers:
            (connection,) = layer.connections
            source = network.population(connection.source)
            c_out, height, width = layer.shape
            out = np.zeros(layer.shape, int)
            for o, y, x in np.ndindex(c_out, height, width):
                total = 0
                for i, dy, dx in np.ndindex(connection.weight.shape[1:]):
                    s = values[source.name][i][y + dy][x + dx]
                    if source.name != INPUT:
                        sops[layer.name] += s
                        s *= 1 << source.bits
                    total += int(connection.weight[o, i, dy, dx]) * s
                drive = int(layer.multiplier[o]) * total
                drive += int(layer.bias[o]) << (8 * layer.bias_shift)
                if layer is network.output:
                    answers[o] += drive
                    continue
                threshold = (1 << layer.bits) << int(layer.shift[o])
                state = v[layer.name].get((o, y, x), threshold // 2) + drive
                out[o, y, x] = state >= threshold
                v[layer.name][o, y, x] = state - threshold * int(out[o, y, x])
            if layer is network.output:
                continue
            if layer.pool is not None:
                out = out.reshape(c_out, height // 2, 2, width // 2, 2).max(axis=(2, 4))
            values[layer.name] = out.tolist()
            spikes[layer.name] += int(out.sum())
    shift = network.output.shift
    return [a / 2 ** int(s) / steps for a, s in zip(answers, shift, strict=True)], spikes, sops


@pytest.mark.parametrize("pool", [None, MaxPool((2, 2), (2, 2))], ids=["plain", "pooled"])
@pytest.mark.parametrize("steps", [1, 4, 8])
def test_direct_code_is_the_neuron_of_its_equations(steps, pool, rng):
    network = small_network(rng, pool=pool)
    images = rng.integers(-127, 128, (3, 2, 6, 6))
    run = DirectCode(network, steps).run(images)
    wanted = [plain(network, image, steps) for image in images]
    np.testing.assert_array_equal(run.outputs[:, :, 0, 0], [answers for answers, _, _ in wanted])
    for name, mean in run.spikes.items():
        assert mean == sum(spikes[name] for _, spikes, _ in wanted) / 3
    for name, mean in run.sops.items():
        assert mean == sum(sops[name] for _, _, sops in wanted) / 3
    assert run.sops["a"] == 0
    assert sum(run.spikes.values()) > 0


def test_a_second_run_starts_afresh(rng):
    code = DirectCode(small_network(rng), 8)
    images = rng.integers(-127, 128, (2, 2, 6, 6))
    np.testing.assert_array_equal(code.run(images).outputs, code.run(images).outputs)


def test_more_steps_come_closer_to_the_quantized_network(rng):
    network = small_network(rng)
    images = rng.integers(-127, 128, (20, 2, 6, 6))
    exact = run_network(network, images)["c"]
    low, high = network.output.population.limits

    def error(steps):
        outputs = np.clip(DirectCode(network, steps).run(images).outputs, low, high)
        return np.abs(outputs - exact).mean()

    assert error(256) < error(32) < error(4)


def test_position_code_has_at_most_one_spike_and_the_nearest_power(rng):
    network = small_network(rng)
    images = rng.integers(-127, 128, (4, 2, 6, 6))
    coded = position_coded(network)
    values = run_network(coded, images)
    plain_values = run_network(network, images)["a"]
    for name in ("a", "b"):
        assert count_spikes(values[name], 8).max() == 1
    powers = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128])
    distance = np.abs(plain_values[..., None] - powers)
    assert (np.abs(values["a"] - plain_values) == distance.min(axis=-1)).all()
    dense, sparse = (n_sops(n, run_network(n, images)) for n in (network, coded))
    assert sparse["b"].sum() < dense["b"].sum()
    assert coded.output is network.output


def test_position_code_keeps_a_clamp(rng):
    network = small_network(rng)
    clamp = np.minimum(np.arange(256), 100)
    first = dataclasses.replace(network.layers[0], table=clamp)
    network = dataclasses.replace(network, layers=(first, *network.layers[1:]))
    table = position_coded(network).layers[0].table
    assert table.max() == 64
    assert table[30] == 32


@pytest.mark.parametrize(
    ("change", "steps", "message"),
    [
        ({}, 3, r"^steps: must be a power of two, got 3$"),
        ({}, 512, r"^a: 512 steps tell more than 8 bits; use fewer$"),
        ({"is_signed": True}, 8, r"^a: direct coding has no negative spikes; use ReLU$"),
    ],
)
def test_what_has_no_direct_code_is_refused(change, steps, message, rng):
    network = small_network(rng)
    first = dataclasses.replace(network.layers[0], **change)
    network = dataclasses.replace(network, layers=(first, *network.layers[1:]))
    with pytest.raises(ValueError, match=message):
        DirectCode(network, steps)


def test_an_image_that_meets_spikes_is_refused(rng):
    network = small_network(rng)
    b = network.layers[1]
    again = Connection(INPUT, np.ones((4, 2, 4, 4), np.int8))
    b = dataclasses.replace(b, connections=(*b.connections, again))
    network = dataclasses.replace(network, layers=(network.layers[0], b, network.layers[2]))
    with pytest.raises(ValueError, match=r"^b: in direct coding the input must not meet spikes$"):
        DirectCode(network, 8)
