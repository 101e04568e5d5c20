# SPDX-License-Identifier: Apache-2.0
"""What tables for groups of channels would save, on weights made by hand and of a network."""

import itertools

import numpy as np
import pytest

from stemcore.benchmarks.table_groups import (
    SHARES,
    curve_of,
    groups_of,
    shares_left,
    weights_of,
)
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.forward import n_sops, run_network
from stemcore.runtime.prepare import prepare
from stemcore.runtime.settings import Settings

# Of each value q and channel, as many operations as a falling density says.
DENSITY = np.tile(np.exp(-np.arange(256) / 20), (64, 1))


def layer(sensitivity):
    """64 channels of one density; errors of channel i weigh ``sensitivity[i]``."""
    return {"a": (DENSITY, DENSITY * np.asarray(sensitivity, float)[:, None])}


def test_every_channel_is_in_one_group(rng):
    sops, fisher = rng.random((192, 256)), rng.random((192, 256))
    for grouping, n in (("layer", 1), ("in order 32", 6), ("sorted 2", 2), ("sorted 8", 6)):
        groups = groups_of(grouping, sops, fisher)
        assert len(groups) == n
        assert sorted(np.concatenate(groups)) == list(range(192))
    assert len(groups_of("channel", sops, fisher)) == 192


def test_channels_alike_gain_nothing_from_groups():
    for grouping in ("in order 32", "sorted 2", "channel"):
        assert shares_left(layer(np.ones(64)), grouping) == pytest.approx(SHARES, abs=1e-9)


def test_groups_gain_where_they_part_channels_that_differ():
    """Every second channel is a hundred times as sensitive: groups in order mix both kinds."""
    weights = layer(np.where(np.arange(64) % 2, 100.0, 1.0))
    assert shares_left(weights, "in order 32") == pytest.approx(SHARES, abs=1e-9)
    gained = shares_left(weights, "sorted 2")
    assert all(share < plain - 0.02 for share, plain in zip(gained, SHARES, strict=True))
    assert shares_left(weights, "channel") == pytest.approx(gained, abs=1e-9)


def test_a_curve_falls_as_divergence_grows(rng):
    losses, left = curve_of(layer(rng.random(64)), "sorted 2")
    assert (np.diff(losses) >= 0).all()
    assert (np.diff(left) <= 0).all()
    assert left[0] == 1


@pytest.mark.slow
def test_weights_count_the_operations_of_the_network():
    prepared = prepare(Settings("digits_cnn"))
    prepared.module.eval()
    weights = weights_of(prepared, 60)
    images = prepared.input_map.codes_of_bytes(prepared.dataset.train_images[-60:])
    network = prepared.network
    counted = n_sops(network, run_network(network, images.astype(np.int64)))
    ones = count_spikes(np.arange(256), 8)
    names = [layer.name for layer in network.layers]
    for before, after in itertools.pairwise(names):
        sops, fisher = weights[before]
        assert fisher.sum() > 0
        # Weights of the torch model are not quantized: nearly the same activations, but behind
        # the mean pooling, where those of golden are coarser.
        if before != "layers.5":
            assert (sops @ ones).sum() == pytest.approx(counted[after].mean(), rel=0.01)
