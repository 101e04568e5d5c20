# SPDX-License-Identifier: Apache-2.0
"""Decoding picture files, and fitting them to a network's input."""

import io

import numpy as np
import pytest
from PIL import Image

from stemcore.models.data.image_files import PADDING_BYTE, decode, fill, letterbox
from stemcore.models.errors import DataError


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_decode_keeps_pixels_and_makes_grey(rng):
    pixels = rng.integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(np.asarray(decode(png(pixels), "a", 3)), pixels)
    grey = np.asarray(decode(png(np.repeat(pixels[:, :, :1], 3, 2)), "a", 1))
    np.testing.assert_array_equal(grey, pixels[:, :, 0])


def test_decode_refuses_other_bytes_and_models(monkeypatch):
    with pytest.raises(DataError, match=r"^x/a\.jpg: must be a picture; the decoder says .*; get"):
        decode(b"no picture", "x/a.jpg", 3)
    with pytest.raises(DataError, match=r"^a: pictures have 1 or 3 channels; a model with 4 came"):
        decode(b"", "a", 4)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for side in (4, 10):  # above the limit a warning, above twice the limit an error
        with pytest.raises(DataError, match=r"^a: must be a picture; the decoder says .*bomb"):
            decode(png(np.zeros((side, side, 3), np.uint8)), "a", 3)


def test_fill_takes_the_middle():
    # Left half 10, right half 250: the crop is symmetric about the border.
    pixels = np.full((64, 128, 3), 10, np.uint8)
    pixels[:, 64:] = 250
    planes = fill(Image.fromarray(pixels), 32, 32)
    assert planes.shape == (3, 32, 32)
    assert (planes[:, :, :14] == 10).all()
    assert (planes[:, :, 18:] == 250).all()


@pytest.mark.parametrize("size", [(20, 50), (50, 20), (9, 9), (200, 31)])
def test_fill_has_the_wanted_shape(size):
    assert fill(Image.new("L", size), 24, 40).shape == (1, 24, 40)


def test_letterbox_pads_and_tells_where_points_go():
    pixels = np.full((20, 40, 3), 200, np.uint8)
    planes, ratio, left, top = letterbox(Image.fromarray(pixels), 32, 32)
    assert (ratio, left, top) == ((0.8, 0.8), 0, 8)
    assert (planes[:, 8:24] == 200).all()
    assert (planes[:, :8] == PADDING_BYTE).all()
    assert (planes[:, 24:] == PADDING_BYTE).all()


@pytest.mark.parametrize("size", [(1, 100), (100, 1), (33, 32), (500, 333)])
def test_letterbox_keeps_corners_inside(size):
    planes, ratio, left, top = letterbox(Image.new("RGB", size), 32, 48)
    assert planes.shape == (3, 32, 48)
    right, bottom = ratio[0] * size[0] + left, ratio[1] * size[1] + top
    assert 0 <= left < right <= 48
    assert 0 <= top < bottom <= 32
