# SPDX-License-Identifier: Apache-2.0
"""Decoding picture files, and fitting them to a network's input."""

import io
import struct
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from stemcore.models.data import image_files
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
    for raw, reason in ((b"no picture", "it knows no such kind"), (b"", "the file is empty")):
        said = rf"^x/a\.jpg: must be a picture; the decoder says that {reason}; get"
        with pytest.raises(DataError, match=said):
            decode(raw, "x/a.jpg", 3)
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


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize(
    "raw",
    [
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0" * 8),  # the decoder raises ValueError
        b"DDS " + struct.pack("<I", 124) + b"\0" * 120,  # NotImplementedError
        b"",
    ],
)
def test_whatever_a_decoder_raises_names_the_file(raw):
    with pytest.raises(DataError, match=r"^a\.png: must be a picture; the decoder says .+; get"):
        decode(raw, "a.png", 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_scaled_not_clipped(channels):
    pixels = np.array([[0, 255, 257 * 100, 65535]], np.uint16)
    notes = Counter()
    found = np.asarray(decode(png(pixels), "a", channels, notes))
    np.testing.assert_array_equal(found.reshape(4, channels)[:, 0], [0, 1, 100, 255])
    assert notes.total() == 1


@pytest.mark.parametrize(("kind", "name"), [(np.int32, "32 bits"), (np.float32, "fractions")])
def test_values_without_a_known_range_are_refused(kind, name):
    buffer = io.BytesIO()
    Image.fromarray(np.array([[1, 70000]], kind)).save(buffer, "TIFF")
    with pytest.raises(DataError, match=rf"^a: must have pixels of 8 or 16 bits; {name}, .* came"):
        decode(buffer.getvalue(), "a", 1)


@pytest.mark.parametrize("size", [(30000, 1), (1, 30000), (5000, 20)])
def test_long_pictures_are_cropped_before_they_are_resized(size):
    pixels = np.zeros((size[1], size[0]), np.uint8)
    x, y = size[0] // 2, size[1] // 2
    pixels[max(y - 10, 0) : y + 10, max(x - 10, 0) : x + 10] = 200
    planes = fill(Image.fromarray(pixels), 224, 224)
    assert planes.shape == (1, 224, 224)
    assert planes[0, 112, 112] == 200
    assert (planes == 200).mean() > 0.9


def test_the_two_ways_to_crop_agree_where_they_meet(monkeypatch):
    ramp = np.linspace(0, 120, 600) + np.linspace(0, 120, 80)[:, None]
    picture = Image.fromarray(ramp.astype(np.uint8))
    whole = fill(picture, 32, 32).astype(int)
    monkeypatch.setattr(image_files, "LONGEST", 1)
    # Half a pixel apart where the surplus is odd, on a ramp of three grey levels a pixel.
    assert np.abs(fill(picture, 32, 32) - whole).max() <= 4
    assert np.ptp(whole) > 80


def saved(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(picture):
    exif = picture.getexif()
    exif[0x0112] = 6
    return saved(picture, "JPEG", exif=exif)


GREY_PICTURE, COLOUR = Image.new("L", (8, 6), 90), Image.new("RGB", (8, 6), (9, 90, 200))


@pytest.mark.parametrize(
    ("raw", "channels", "said"),
    [
        (saved(GREY_PICTURE, "PNG"), 1, []),
        (saved(GREY_PICTURE, "PNG"), 3, []),
        (saved(COLOUR, "PNG"), 3, []),
        (saved(COLOUR, "PNG"), 1, ["1 pictures in colour made grey"]),
        (saved(COLOUR.convert("RGBA"), "PNG"), 3, ["1 pictures whose transparency is not used"]),
        (turned(COLOUR), 3, ["1 pictures whose orientation, as the camera noted it, is not used"]),
        (
            saved(GREY_PICTURE, "GIF", save_all=True, append_images=[Image.new("L", (8, 6), 9)]),
            3,
            ["1 files of several pictures: the first is used"],
        ),
    ],
)
def test_what_a_network_does_not_get_is_counted(raw, channels, said):
    notes = Counter()
    decode(raw, "a", channels, notes)
    assert list(image_files.in_words(notes)) == said


def test_crops_that_keep_little_are_counted():
    notes = Counter()
    for size in ((9, 9), (16, 9), (60, 9)):
        fill(Image.new("L", size), 8, 8, notes)
    assert image_files.in_words(notes) == (
        "1 pictures of which the crop keeps less than 25%, the middle",
    )
