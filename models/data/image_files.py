# SPDX-License-Identifier: Apache-2.0
"""Image files as network-sized bytes: decoding, cropping to fill, or padding to fit."""

import io
import warnings

import numpy as np
from PIL import Image

from ..arrays import Bytes
from ..errors import DataError

# Becomes 0 at the network's input, as the convolutions' own padding does.
PADDING_BYTE = 128
# ImageNet's usual 256 pixels for a crop of 224.
CROP_MARGIN = 256 / 224


def decode(raw: bytes, where: str, channels: int) -> Image.Image:
    """A picture of 1 or 3 channels from the bytes of a JPEG, PNG, ...

    Raises :exc:`DataError`, beginning with ``where``, for bytes that are no picture or one of an
    absurd size.
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
                return picture.convert("RGB" if channels == 3 else "L")
    except (
        OSError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise DataError(
            f"{where}: must be a picture; the decoder says {error}; get the file again"
        ) from error


def fill(picture: Image.Image, height: int, width: int) -> Bytes:
    """The middle of a picture: shorter side ``CROP_MARGIN`` too long, then cropped.

    Returns uint8 (C, height, width).
    """
    ratio = max(height / picture.height, width / picture.width) * CROP_MARGIN
    size = max(round(picture.width * ratio), width), max(round(picture.height * ratio), height)
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
