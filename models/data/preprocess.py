# SPDX-License-Identifier: Apache-2.0
"""The one place that turns image bytes into network input.

A network sees ``x = clip(u8 - 128, -127, 127)``, eight signed bits with zero-point 0, and the float
network sees the same number divided by 128. The scale is a power of two, so the integer network
and the float network start from identical values.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError

if TYPE_CHECKING:
    import torch

INPUT_BITS = 8
INPUT_SCALE = 2.0**-7
INPUT_OFFSET = 128
INPUT_MAX = 127


def to_integer_input(images: ArrayLike) -> NDArray[np.int8]:
    """Network integer input: ``clip(u8 - 128, -127, 127)``.

    images : uint8 numpy array, any shape. Returns int8, same shape.
    Raises :exc:`DataError` for another dtype.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise DataError(
            f"preprocess: images must be uint8; dtype {images.dtype} came; "
            "pass the bytes that the data set yields"
        )
    shifted = images.astype(np.int16) - INPUT_OFFSET
    return np.clip(shifted, -INPUT_MAX, INPUT_MAX).astype(np.int8)


def to_float_input(images: "NDArray[np.uint8] | torch.Tensor") -> "torch.Tensor":
    """Float input of the trained network: the integer input divided by 128.

    images : uint8 numpy array or torch tensor, any shape. Returns a float32 torch tensor, same
    shape, values in [-127/128, 127/128]. Raises :exc:`DataError` for another dtype.
    """
    import torch

    if not isinstance(images, torch.Tensor):
        images = torch.from_numpy(to_integer_input(images))
        return images.to(torch.float32).mul_(INPUT_SCALE)
    if images.dtype != torch.uint8:
        raise DataError(
            f"preprocess: images must be uint8; dtype {images.dtype} came; "
            "pass the bytes that the data set yields"
        )
    shifted = images.to(torch.float32).sub_(INPUT_OFFSET)
    return shifted.clamp_(-INPUT_MAX, INPUT_MAX).mul_(INPUT_SCALE)
