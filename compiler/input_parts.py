# SPDX-License-Identifier: Apache-2.0
"""Several inputs of a network as one: the host fires one population with the channels of all.

Input k has the channels ``channels`` of that population, in its first rows and columns; positions
beyond its own size never fire. So one array (N, C, H, W) holds an image of all inputs, and a layer
that reads an input reads its channels and its positions alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.spec.integers import limits

from .errors import CompileError
from .input_map import INPUT_BITS, InputMap

Sizes = tuple[int, ...]
Shape = tuple[int, int, int]
# Sizes of several inputs, in the order of the model's arguments or by their names.
InputSizes = Sequence[Sizes] | Mapping[str, Sizes]
# Values of an image of all inputs together: an image of 224 x 224 and a vector of 80.
MOST_VALUES = 1 << 22


@dataclass(frozen=True)
class InputPart:
    """One input of several.

    Attributes
    ----------
    name : str
        Of the model's argument.
    sizes : (C, H, W), (C, L) or (F,)
        In the model's own dimensions.
    shape : (C, H, W)
        The same as an image.
    first : int
        Its first channel among those of all inputs.
    """

    name: str
    sizes: Sizes
    shape: Shape
    first: int

    @property
    def channels(self) -> tuple[int, int]:
        """First channel, and the one after the last."""
        return self.first, self.first + self.shape[0]


def is_several(shape: Any) -> bool:
    """Whether an ``input_shape`` is that of several inputs."""
    if isinstance(shape, Mapping):
        return True
    return isinstance(shape, tuple | list) and any(isinstance(one, tuple | list) for one in shape)


def as_input_shape(shape: Any) -> Any:
    """An ``input_shape`` in tuples: of one input, of several in order, or of several by name."""
    if isinstance(shape, Mapping):
        return {str(name): tuple(sizes) for name, sizes in shape.items()}
    if is_several(shape):
        return tuple(tuple(one) if isinstance(one, tuple | list) else (one,) for one in shape)
    return tuple(shape)


def make_parts(inputs: Sequence[tuple[str, Sizes, Shape]]) -> tuple[InputPart, ...]:
    """Inputs (name, own sizes, shape as an image) one after the other.

    Raises :class:`CompileError` where most of the array of all of them would be empty and large.
    """
    parts, first = [], 0
    for name, sizes, shape in inputs:
        parts.append(InputPart(name, tuple(sizes), shape, first))
        first += shape[0]
    n_values = math.prod(packed_shape(parts))
    n_used = sum(math.prod(part.shape) for part in parts)
    if n_values > max(MOST_VALUES, 2 * n_used):
        raise CompileError(
            "inputs",
            f"together they take {packed_shape(parts)} values, at most {MOST_VALUES:,} where most "
            f"are never used; {n_used:,} are",
            "reshape long vectors into images of fewer channels, or make the images smaller",
        )
    return tuple(parts)


def packed_shape(parts: Sequence[InputPart]) -> Shape:
    """Shape (C, H, W) of an image of all inputs."""
    heights, widths = ([part.shape[axis] for part in parts] for axis in (1, 2))
    return sum(part.shape[0] for part in parts), max(heights), max(widths)


def pack(arrays: Sequence[NDArray[Any]], parts: Sequence[InputPart]) -> NDArray[Any]:
    """Images of every input (N, ..) as images of all (N, C, H, W), zero beyond each."""
    kind = np.result_type(*arrays)
    packed = np.zeros((len(arrays[0]), *packed_shape(parts)), kind)
    for array, part in zip(arrays, parts, strict=True):
        _, height, width = part.shape
        image = array.reshape(len(array), *part.shape)
        packed[:, slice(*part.channels), :height, :width] = image
    return packed


def unpack(packed: Any, parts: Sequence[InputPart]) -> list[Any]:
    """Inverse of :func:`pack`, in each input's own dimensions; of arrays or tensors."""
    found = []
    for part in parts:
        _, height, width = part.shape
        image = packed[:, slice(*part.channels), :height, :width]
        found.append(image.reshape(len(packed), *part.sizes))
    return found


def as_given(
    given: Any, parts: Sequence[InputPart], where: str, what: str = "an array"
) -> list[Any]:
    """One value for each input, of a tuple or list in their order, or of a mapping by name."""
    names = [part.name for part in parts]
    if isinstance(given, Mapping):
        if set(given) != set(names):
            raise ValueError(
                f"{where}: must have {what} for each input, {', '.join(names)}; "
                f"{', '.join(map(str, given)) or 'none'} came"
            )
        return [given[name] for name in names]
    if isinstance(given, tuple | list) and len(given) == len(names):
        return list(given)
    came = f"{len(given)}" if isinstance(given, tuple | list) else type(given).__name__
    raise ValueError(
        f"{where}: must be a tuple with {what} for each of {len(names)} inputs, or a dict by name "
        f"({', '.join(names)}); {came} came"
    )


def with_one_sign(maps: Sequence[InputMap]) -> tuple[InputMap, ...]:
    """The maps with codes that all have a sign, where any has one.

    All inputs are fired by one population. A map without a sign then has 7 bits: its largest value
    is the same, its step twice as large.
    """
    if len({found.is_signed for found in maps}) == 1:
        return tuple(maps)
    ratio = limits(INPUT_BITS, False)[1] / limits(INPUT_BITS, True)[1]
    return tuple(
        found
        if found.is_signed
        else replace(found, step=tuple(s * ratio for s in found.step), is_signed=True)
        for found in maps
    )


def packed_map(maps: Sequence[InputMap], parts: Sequence[InputPart]) -> InputMap:
    """What codes of images of all inputs are worth; bytes have no meaning there."""
    steps: list[float] = []
    for found, part in zip(maps, parts, strict=True):
        n = part.shape[0]
        steps += found.step if len(found.step) == n else found.step * n
    name = "; ".join(f"{p.name}: {m.name}" for p, m in zip(parts, maps, strict=True))
    return InputMap(name, (), (), tuple(steps), maps[0].is_signed)
