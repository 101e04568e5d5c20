# SPDX-License-Identifier: Apache-2.0
"""Images as users have them, turned into the integers that the host fires; never misread silently.

=========  =======================================  ============================================
type       values                                   becomes
=========  =======================================  ============================================
uint8      0..255, bytes of pictures                what the network's input map makes of them
int8..64   codes, as the host fires them            itself
float      what the float network sees              the nearest code, halves to even
=========  =======================================  ============================================

The input map (:mod:`stemcore.compiler.input_map`) says what a byte means to the network and what a
code is worth; a network that does not say takes no bytes, and floats in -127/128..127/128.

Shapes are (N, C, H, W); sequences (N, C, L) and vectors (N, F) stand for (N, C, 1, L) and
(N, F, 1, 1). Anything else is an error that says what to do. Of images that set scales, a range of
which only half is used is a warning, since pictures in 0..1 look like that too.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.frontend.fx import graph_shape
from stemcore.compiler.input_map import UNSTATED, InputMap

Shape = tuple[int, int, int]


def integer_images(
    images: Any,
    shape: Shape | None,
    where: str = "images",
    *,
    input_map: InputMap = UNSTATED,
    sets_scales: bool = False,
) -> NDArray[np.integer]:
    """Images as codes (N, C, H, W): int8 in -127..127, or int16 in 0..255.

    Parameters
    ----------
    images : array, tensor, or what numpy makes an array of
    shape : (C, H, W)
        That the network takes, see :func:`graph_shape`; None takes any.
    where : str
        Name of the argument, for messages.
    input_map : InputMap
        What bytes and floats mean to the network.
    sets_scales : bool
        Whether the scales of a network will rest on them: warns of a range half used.

    Raises
    ------
    ValueError, CompileError
        For another shape or type, for values out of range, for NaN, for no image at all, and for
        bytes where nothing says what they mean.
    """
    array = as_array(images, where)
    _check_shape(array, shape, where)
    array = array.reshape(len(array), *(graph_shape(array.shape[1:]) or ()))
    if array.dtype == np.uint8:
        return input_map.codes_of_bytes(array)
    if array.dtype.kind == "f":
        codes = input_map.codes_of_real(array, where)
    elif array.dtype.kind == "i":
        codes = _from_integers(array, input_map, where)
    else:
        low, high = input_map.limits
        raise ValueError(
            f"{where}: must be uint8 (bytes of pictures), signed integers in {low}..{high}, or "
            f"floats as the network sees them; {array.dtype} came; convert them"
        )
    if sets_scales and input_map.is_signed and codes.min() >= 0:
        warnings.warn(
            f"{where}: no value is negative, so half of the input's range is never used; right for "
            "a network that was trained on such values; say input='unit' for values in 0..1, which "
            "then have all codes",
            stacklevel=3,
        )
    return codes


def as_array(images: Any, where: str) -> NDArray[Any]:
    """An array or a tensor as an array; ``ValueError`` for what is none."""
    if hasattr(images, "detach"):  # a tensor: torch need not be here to know one
        images = images.detach().cpu()
        if "float" in str(images.dtype):
            images = images.float()  # numpy has no bfloat16
        return np.asarray(images.numpy())
    try:
        return np.asarray(images)
    except ValueError as error:
        raise ValueError(f"{where}: must be one array (N, C, H, W): {error}") from error


def _check_shape(array: NDArray[Any], shape: Shape | None, where: str) -> None:
    found = graph_shape(array.shape[1:])
    if found is not None and len(array) and (shape is None or found == tuple(shape)):
        return
    wanted = "(N, C, H, W)" if shape is None else f"(N, {', '.join(map(str, shape))})"
    if shape is not None and array.shape == tuple(shape):
        way_out = "a single image needs images[None]"
    elif shape is not None and array.shape[1:] == (*shape[1:], shape[0]):
        way_out = "channels come first: images.transpose(0, 3, 1, 2)"
    else:
        way_out = "resize or reorder them"
    raise ValueError(
        f"{where}: must have shape {wanted} with N of 1 or more; {array.shape} came; {way_out}"
    )


def _from_integers(
    array: NDArray[np.signedinteger], input_map: InputMap, where: str
) -> NDArray[np.integer]:
    low, high = int(array.min()), int(array.max())
    bottom, top = input_map.limits
    if low < bottom or high > top:
        way_out = "pass bytes of pictures as uint8" if low >= 0 and high < 256 else "clip them"
        raise ValueError(
            f"{where}: integers must lie in {bottom}..{top}; {low}..{high} came; {way_out}"
        )
    return array.astype(input_map.code_type)
