# SPDX-License-Identifier: Apache-2.0
"""The step from image bytes to network input."""

import numpy as np
import pytest
import torch

from stemcore.models.data.preprocess import to_float_input, to_integer_input
from stemcore.models.errors import DataError

EVERY_BYTE = np.arange(256, dtype=np.uint8)


def test_to_integer_input_corners():
    corners = np.array([0, 1, 2, 127, 128, 129, 254, 255], np.uint8)
    x = to_integer_input(corners)
    assert x.dtype == np.int8
    assert x.tolist() == [-127, -127, -126, -1, 0, 1, 126, 127]


def test_to_integer_input_keeps_shape_and_argument(rng):
    images = rng.integers(0, 256, (2, 3, 4, 5), np.uint8)
    before = images.copy()
    assert to_integer_input(images).shape == (2, 3, 4, 5)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy])
def test_to_float_input_is_integer_input_over_128(form):
    x = to_float_input(form(EVERY_BYTE))
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(x.numpy() * 128, to_integer_input(EVERY_BYTE))


@pytest.mark.parametrize("images", [np.zeros(3, np.int8), np.zeros(3, np.float32)])
@pytest.mark.parametrize(
    "convert", [to_integer_input, to_float_input, lambda x: to_float_input(torch.from_numpy(x))]
)
def test_preprocess_refuses_other_types(images, convert):
    with pytest.raises(DataError, match=r"^preprocess: images must be uint8; dtype .* came; pass"):
        convert(images)
