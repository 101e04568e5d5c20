# SPDX-License-Identifier: Apache-2.0
"""Images of users become integers of the hardware, or an error; nothing is misread silently."""

import warnings

import numpy as np
import pytest
import torch

from stemcore.compiler.errors import CompileError
from stemcore.compiler.input_map import SIGNED, parse_input
from stemcore.models.data.preprocess import to_integer_input
from stemcore.runtime.images import integer_images

SHAPE = (1, 4, 4)


def batch(low, high, dtype, n=3):
    """Values from low to high, both there."""
    return np.linspace(low, high, n * 16).reshape(n, *SHAPE).astype(dtype)


def test_bytes_are_pictures():
    every = np.arange(256, dtype=np.uint8).reshape(16, 1, 4, 4)
    found = integer_images(every, SHAPE, input_map=SIGNED)
    np.testing.assert_array_equal(found, to_integer_input(every))
    unit = integer_images(every, SHAPE, input_map=parse_input("unit"))
    np.testing.assert_array_equal(unit, every)
    # Codes of an unsigned input are no bytes: they come back as what they are.
    np.testing.assert_array_equal(integer_images(unit, SHAPE, input_map=parse_input("unit")), unit)
    with pytest.raises(CompileError, match=r"^INPUT: must say what a byte of an image means"):
        integer_images(every, SHAPE)


def test_floats_are_rounded_to_the_nearest_step_halves_to_even():
    values = np.zeros((1, *SHAPE))
    values.flat[:8] = np.array([0.5, 1.5, -0.5, -1.5, 2.4, 2.6, -127, 127]) / 128
    found = integer_images(values, SHAPE).ravel()[:8]
    assert found.tolist() == [0, 2, 0, -2, 2, 3, -127, 127]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_integers_are_themselves(dtype):
    values = batch(-127, 127, dtype)
    found = integer_images(values, SHAPE)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, values)


def test_tensors_are_arrays():
    floats = batch(-0.9, 0.9, np.float32)
    expected = integer_images(floats, SHAPE)
    tensor = torch.from_numpy(floats).requires_grad_()
    for same in (tensor, tensor.double(), tensor.detach(), floats.tolist()):
        np.testing.assert_array_equal(integer_images(same, SHAPE), expected)
    rough = integer_images(tensor.to(torch.bfloat16), SHAPE)
    assert np.abs(rough.astype(int) - expected).max() <= 1


def test_sequences_and_vectors_get_rows_and_columns():
    assert integer_images(np.zeros((5, 3, 7)), (3, 1, 7)).shape == (5, 3, 1, 7)
    assert integer_images(np.zeros((5, 12)), (12, 1, 1)).shape == (5, 12, 1, 1)
    assert integer_images(np.zeros((5, 12)), None).shape == (5, 12, 1, 1)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            batch(0, 1, float),
            r"floats must lie in -0\.992188\.\.0\.992188, .*; 0\.\.1 came; say input='unit",
        ),
        (batch(-1, 1, np.float32), r"floats must lie in .*; -1\.\.1 came; say the range"),
        (
            batch(0, 255, float),
            r"floats must lie in .*; 0\.\.255 came; these look like bytes: pass",
        ),
        (
            batch(-2.1, 2.6, float),
            r"floats must lie in .*; -2\.1\.\.2\.6 came; say the .* input='-2\.1\.\.2\.6'$",
        ),
        (np.full((1, *SHAPE), np.inf), r"must be finite; NaN or infinity came; look where"),
        (
            batch(0, 255, int),
            r"integers must lie in -127\.\.127; 0\.\.255 came; pass bytes of pict",
        ),
        (batch(-128, 127, int), r"integers must lie in -127\.\.127; -128\.\.127 came; clip them"),
        (batch(0, 99, np.uint16), r"must be uint8 \(bytes of pictures\), .*; uint16 came; convert"),
        (batch(0, 1, bool), r"must be uint8 .*; bool came; convert them"),
        (batch(0, 1, complex), r"must be uint8 .*; complex128 came; convert them"),
        (
            np.zeros((0, *SHAPE)),
            r"must have shape \(N, 1, 4, 4\) with N of 1 or more; \(0, 1, 4, 4",
        ),
        (np.zeros(SHAPE), r"must have shape .*; \(1, 4, 4\) came; a single image needs images\[N"),
        (
            np.zeros((2, 4, 4, 1)),
            r"must have shape .*; channels come first: images\.transpose\(0, 3",
        ),
        (
            np.zeros((2, 3, 4, 4)),
            r"must have shape .*; \(2, 3, 4, 4\) came; resize or reorder them",
        ),
        (np.float64(3), r"must have shape .*; \(\) came; "),
        ([[1, 2], [3]], r"must be one array \(N, C, H, W\): "),
        ("photo.png", r"must have shape .*; \(\) came; "),
    ],
)
def test_what_would_be_misread_is_refused(images, message):
    with pytest.raises(ValueError, match=f"^images: {message}"):
        integer_images(images, SHAPE)


def test_scales_that_rest_on_half_a_range_are_said():
    half = batch(0, 127 / 128, float)
    with pytest.warns(
        UserWarning, match=r"^calibration: no value is negative, so half of the inpu"
    ):
        integer_images(half, SHAPE, "calibration", sets_scales=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        integer_images(half, SHAPE)  # one image may be dark
        integer_images(batch(-0.1, 0.9, float), SHAPE, "calibration", sets_scales=True)
