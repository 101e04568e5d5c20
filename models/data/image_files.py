# SPDX-License-Identifier: Apache-2.0
"""Image files as network-sized bytes: decoding, cropping to fill, or padding to fit.

What is lost of a picture is counted in ``notes``, for lines that say so: nothing of a data set is
dropped or rescaled in silence.
"""

import io
import warnings
from collections import Counter

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..arrays import Bytes
from ..errors import DataError

# Becomes 0 at the network's input, as the convolutions' own padding does.
PADDING_BYTE = 128
# ImageNet's usual 256 pixels for a crop of 224.
CROP_MARGIN = 256 / 224
# Files that are taken for pictures, in capitals or not; the bytes decide what they are.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm")
# A picture longer than so many times its crop is cropped before it is resized: resized as a whole,
# 30,000 x 1 pixels would become gigabytes.
LONGEST = 16
LARGEST_16_BITS = 65535
ORIENTATION, UPRIGHT = 0x0112, 1  # the tag of Exif, and its value where nothing is turned
COLOUR_MODES = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV")
SEEN = 0.25  # least share of a picture that a crop keeps without a line

Notes = Counter[str]  # what was done, in words, and to how many


def is_picture(name: str) -> bool:
    """Whether a file is one, by its suffix."""
    return name.lower().endswith(SUFFIXES)


def decode(raw: bytes, where: str, channels: int, notes: Notes | None = None) -> Image.Image:
    """A picture of 1 or 3 channels from the bytes of a JPEG, PNG, ...

    Grey of 16 bits is scaled to 8, 65535 to 255, which ``notes`` counts. Raises :exc:`DataError`,
    beginning with ``where``, for bytes that are no picture, one of an absurd size, or one whose
    values have no known range.
    """
    if channels not in (1, 3):
        raise DataError(
            f"{where}: pictures have 1 or 3 channels; a model with {channels} came; "
            "choose another model"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(raw)) as picture:
                picture.load()
                counts = Counter() if notes is None else notes
                _count_unused(picture, channels, counts)
                grey = _eight_bits(picture, where, counts)
                return grey.convert("RGB" if channels == 3 else "L")
    except DataError:
        raise
    except Exception as error:  # decoders of damaged files raise errors of any kind
        reason = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):  # its text names the buffer
            reason = "that it knows no such kind" if raw else "that the file is empty"
        raise DataError(
            f"{where}: must be a picture; the decoder says {reason}; get the file again, or take "
            "it out"
        ) from error


def _count_unused(picture: Image.Image, channels: int, notes: Notes) -> None:
    """Counts a picture for everything that a network of so many channels does not get of it."""
    losses = {
        "pictures whose transparency is not used": picture.has_transparency_data,
        "pictures whose orientation, as the camera noted it, is not used": (
            picture.getexif().get(ORIENTATION, UPRIGHT) != UPRIGHT
        ),
        "files of several pictures: the first is used": getattr(picture, "n_frames", 1) > 1,
        "pictures in colour made grey": channels == 1 and picture.mode in COLOUR_MODES,
    }
    notes.update(what for what, is_lost in losses.items() if is_lost)


def _eight_bits(picture: Image.Image, where: str, notes: Notes) -> Image.Image:
    """The picture, with 16 bits of grey scaled to 8: Pillow itself would clip them at 255."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    pixels = np.asarray(picture)
    is_16_bits = picture.mode.startswith("I;16") or (
        picture.mode == "I" and picture.format in ("PNG", "PPM")
    )
    if not is_16_bits or pixels.min() < 0 or pixels.max() > LARGEST_16_BITS:
        kind = "fractions" if picture.mode == "F" else "32 bits"
        raise DataError(
            f"{where}: must have pixels of 8 or 16 bits; {kind}, {pixels.min()}..{pixels.max()}, "
            "came, whose range nothing says; convert the file to 8 bits"
        )
    notes["pictures of 16 bits scaled to 8"] += 1
    scaled = np.rint(pixels.astype(np.float64) * (255 / LARGEST_16_BITS))
    return Image.fromarray(scaled.astype(np.uint8))


def fill(picture: Image.Image, height: int, width: int, notes: Notes | None = None) -> Bytes:
    """The middle of a picture: shorter side ``CROP_MARGIN`` too long, then cropped.

    Returns uint8 (C, height, width). ``notes`` counts pictures of which little is left.
    """
    ratio = max(height / picture.height, width / picture.width) * CROP_MARGIN
    size = max(round(picture.width * ratio), width), max(round(picture.height * ratio), height)
    if notes is not None and height * width < SEEN * size[0] * size[1]:
        notes[f"pictures of which the crop keeps less than {SEEN:.0%}, the middle"] += 1
    if max(size[0] / width, size[1] / height) > LONGEST:
        half = width / ratio / 2, height / ratio / 2
        x, y = picture.width / 2, picture.height / 2
        box = (
            max(x - half[0], 0),
            max(y - half[1], 0),
            min(x + half[0], picture.width),
            min(y + half[1], picture.height),
        )
        return to_planes(picture.resize((width, height), Image.Resampling.BILINEAR, box))
    picture = picture.resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return to_planes(picture.crop((left, top, left + width, top + height)))


def letterbox(
    picture: Image.Image, height: int, width: int
) -> tuple[Bytes, tuple[float, float], int, int]:
    """The whole picture, as large as fits, in the middle; the rest is ``PADDING_BYTE``.

    Returns ``(uint8 (C, height, width), ratio, left, top)``: a point (x, y) of the picture is at
    ``(ratio_x * x + left, ratio_y * y + top)``, with ratio = (ratio_x, ratio_y).
    """
    ratio = min(height / picture.height, width / picture.width)
    size = (
        min(max(round(picture.width * ratio), 1), width),
        min(max(round(picture.height * ratio), 1), height),
    )
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    planes = to_planes(picture.resize(size, Image.Resampling.BILINEAR))
    canvas = np.full((len(planes), height, width), PADDING_BYTE, np.uint8)
    canvas[:, top : top + size[1], left : left + size[0]] = planes
    return canvas, (size[0] / picture.width, size[1] / picture.height), left, top


def to_planes(picture: Image.Image) -> Bytes:
    """uint8 (C, H, W) of a picture of one or three channels."""
    pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def in_words(notes: Notes) -> tuple[str, ...]:
    """One line for each thing that was done: ``3 pictures of 16 bits scaled to 8``."""
    return tuple(f"{n} {what}" for what, n in sorted(notes.items()))
