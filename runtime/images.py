# SPDX-License-Identifier: Apache-2.0
"""Images as users have them, turned into the integers that the host fires; never misread silently.

=========  =======================================  ============================================
type       values                                   becomes
=========  =======================================  ============================================
uint8      0..255, bytes of pictures                ``clip(byte - 128, -127, 127)``
int8..64   -127..127, as the host fires them        itself
float      -127/128..127/128, as the float network  the nearest multiple of 1/128, halves to
           gets them                                even, times 128
=========  =======================================  ============================================

Shapes are (N, C, H, W); sequences (N, C, L) and vectors (N, F) stand for (N, C, 1, L) and
(N, F, 1, 1). Anything else is an error that says what to do. Of images that set scales, a range of
which only half is used is a warning, since pictures in 0..1 look like that too.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.frontend.fx import graph_shape
from stemcore.models.data.preprocess import INPUT_MAX, INPUT_SCALE, to_integer_input

FORMS = (
    f"uint8 (bytes of pictures), signed integers in -{INPUT_MAX}..{INPUT_MAX}, or floats in "
    f"-{INPUT_MAX}/128..{INPUT_MAX}/128"
)
Shape = tuple[int, int, int]


def integer_images(
    images: Any, shape: Shape | None, where: str = "images", *, sets_scales: bool = False
) -> NDArray[np.int8]:
    """Images as int8 (N, C, H, W) in -127..127.

    Parameters
    ----------
    images : array, tensor, or what numpy makes an array of
    shape : (C, H, W)
        That the network takes, see :func:`graph_shape`; None takes any.
    where : str
        Name of the argument, for messages.
    sets_scales : bool
        Whether the scales of a network will rest on them: warns of a range half used.

    Raises
    ------
    ValueError
        For another shape or type, for values out of range, for NaN, and for no image at all.
    """
    array = as_array(images, where)
    _check_shape(array, shape, where)
    array = array.reshape(len(array), *(graph_shape(array.shape[1:]) or ()))
    if array.dtype == np.uint8:
        return to_integer_input(array)
    if array.dtype.kind == "f":
        integers = _from_floats(array, where)
    elif array.dtype.kind == "i":
        integers = _from_integers(array, where)
    else:
        raise ValueError(f"{where}: must be {FORMS}; {array.dtype} came; convert them")
    if sets_scales and integers.min() >= 0:
        warnings.warn(
            f"{where}: no value is negative, so half of the input's range -1..1 is never used; "
            "right for a network that was trained on such values; pictures divided by 255 are "
            "better passed as uint8 bytes, to a network trained on (byte - 128) / 128",
            stacklevel=3,
        )
    return integers


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


def _from_floats(array: NDArray[np.floating], where: str) -> NDArray[np.int8]:
    if not np.isfinite(array).all():
        raise ValueError(f"{where}: must be finite; NaN or infinity came; look where it comes from")
    low, high = float(array.min()), float(array.max())
    limit = INPUT_MAX * INPUT_SCALE
    if low < -limit or high > limit:
        raise ValueError(
            f"{where}: floats must lie in -{INPUT_MAX}/128..{INPUT_MAX}/128, the float network's "
            f"input; {low:.6g}..{high:.6g} came; {_way_out(low, high)}"
        )
    return np.rint(array.astype(np.float64) / INPUT_SCALE).astype(np.int8)


def _way_out(low: float, high: float) -> str:
    if low >= 0 and high > 2:
        return "these look like bytes: pass them as uint8"
    if low >= -1 and high <= 1:
        return (
            f"of a network that takes these, multiply the images by {INPUT_MAX}/128 and the first "
            f"layer's weights by 128/{INPUT_MAX}; or pass bytes as uint8, to a network trained on "
            "(byte - 128) / 128"
        )
    return (
        "divide them by a power of two that brings them into the range, and multiply the first "
        "layer's weights by it"
    )


def _from_integers(array: NDArray[np.signedinteger], where: str) -> NDArray[np.int8]:
    low, high = int(array.min()), int(array.max())
    if low < -INPUT_MAX or high > INPUT_MAX:
        way_out = "pass bytes of pictures as uint8" if low >= 0 and high < 256 else "clip them"
        raise ValueError(
            f"{where}: integers must lie in -{INPUT_MAX}..{INPUT_MAX}; {low}..{high} came; "
            f"{way_out}"
        )
    return array.astype(np.int8)
