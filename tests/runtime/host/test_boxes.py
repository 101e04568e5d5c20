# SPDX-License-Identifier: Apache-2.0
"""Sets of neurons as boxes."""

import numpy as np
import pytest

from stemcore.runtime.host.boxes import cover_boxes


def covered(shape, boxes):
    """How many boxes hold each neuron."""
    found = np.zeros(shape, int)
    for (c0, y0, x0), (c1, y1, x1) in boxes:
        found[c0 : c1 + 1, y0 : y1 + 1, x0 : x1 + 1] += 1
    return found


@pytest.mark.parametrize("share", [0, 0.05, 0.5, 0.95, 1])
def test_boxes_hold_every_neuron_once(share, rng):
    for _ in range(5):
        neurons = rng.random(rng.integers(1, 7, 3)) < share
        assert np.array_equal(covered(neurons.shape, cover_boxes(neurons)), neurons)


def test_a_box_is_one_box(rng):
    for _ in range(20):
        shape = rng.integers(1, 8, 3)
        low = rng.integers(0, shape)
        high = rng.integers(low, shape)
        neurons = np.zeros(shape, bool)
        neurons[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = True
        assert cover_boxes(neurons) == [(tuple(low), tuple(high))]


@pytest.mark.parametrize(("hole", "n"), [((0, 3), 2), ((1, 3), 4)])
def test_few_boxes_are_found(hole, n):
    """A corner that is left out needs two boxes, a hole amid the rows and columns four."""
    neurons = np.ones((3, 4, 4), bool)
    neurons[:, slice(*hole), slice(*hole)] = False
    assert len(cover_boxes(neurons)) == n


def test_an_order_of_axes_with_few_boxes_is_chosen():
    """One channel of two lacks all rows but one: two boxes, not one for every row."""
    neurons = np.ones((2, 6, 6), bool)
    neurons[1, 1:] = False
    assert len(cover_boxes(neurons)) == 2
