# SPDX-License-Identifier: Apache-2.0
"""What the host sends: values of each population, and which neurons of a route."""

from dataclasses import replace

import numpy as np
import pytest

from stemcore.golden.network.network import Population
from stemcore.golden.program.inputs import input_values, split_inputs
from stemcore.golden.program.program import InputRoute
from tests.support.hand_programs import dense_program

WHOLE = dense_program()[0]
OTHER = Population("other", (2, 3, 1), 8, True)
PART = replace(WHOLE, replayed=(OTHER,), is_part=True)
N_FIRST, N_OTHER = int(np.prod(WHOLE.input.shape)), 6


def test_the_only_input_is_the_images_themselves():
    images = np.zeros((2, *WHOLE.input.shape), int)
    (found,) = split_inputs(WHOLE, images)
    assert found is images


def test_values_of_several_populations_lie_behind_each_other():
    assert PART.input_shape == (N_FIRST + N_OTHER, 1, 1)
    first = np.arange(2 * N_FIRST).reshape(2, *WHOLE.input.shape) % 2
    other = np.arange(2 * N_OTHER).reshape(2, *OTHER.shape) - 6
    flat = np.concatenate([part.reshape(2, -1, 1, 1) for part in (first, other)], axis=1)
    for found, expected in zip(input_values(PART, flat), (first, other), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(2, N_FIRST + 7, 1, 1), (2, N_FIRST + N_OTHER), (3,)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"^images: must have shape \(N, \d+, 1, 1\), the values of"
    ):
        split_inputs(PART, np.zeros(shape, int))


def test_a_route_sends_all_neurons_of_its_rectangle_or_those_that_it_names():
    route = InputRoute((2, 5), (1, 2), (0, 1, 0, 1), 0)
    assert route.neurons(5).shape == (5, 4, 2)
    assert route.neurons(5).all()
    sent = np.arange(40).reshape(5, 4, 2) % 7 == 0
    named = replace(route, sent=np.packbits(sent).tobytes())
    np.testing.assert_array_equal(named.neurons(5), sent)
