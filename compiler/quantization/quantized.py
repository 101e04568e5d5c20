# SPDX-License-Identifier: Apache-2.0
"""The quantized network: integers of every layer with the real value of one unit beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.spec.integers import limits

from ..archive import read_archive, write_archive
from ..errors import FormatError
from ..frontend.ops.operator import FloatArray, Pair, Shape
from ..frontend.ops.pooling import MaxPool

EXACT, GENERAL, PAPER = PROFILES = ("exact", "general", "paper")
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class QuantizedBranch:
    """Integer weights of one connection, to be shifted left by ``shift``."""

    source: str
    weight: NDArray[np.int8]
    stride: Pair
    padding: Pair
    groups: int
    shift: int


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """One population.

    ``z = sum (weight << shift) x``, one unit worth ``acc_scale[c]``;
    ``q = clamp(round_half_even((multiplier z + (bias << 8 bias_shift)) / 2**rescale_shift))``, one
    unit worth ``scale``; then ``table[q mod 2**bits]``, where there is one, and max pooling.
    ``top`` is the upper clamp, ``bias_format`` what the bias was rounded to, in words.
    """

    name: str
    shape: Shape  # before pooling
    branches: tuple[QuantizedBranch, ...]
    bias: IntArray
    multiplier: IntArray
    rescale_shift: IntArray
    bias_shift: int
    bits: int
    is_signed: bool
    top: int
    pool: MaxPool | None
    acc_scale: FloatArray
    scale: float
    bias_format: str = ""
    table: IntArray | None = None

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value, both included."""
        return limits(self.bits, self.is_signed)[0], self.top


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """Layers in order; the last one is the output. The input is signed."""

    name: str
    profile: str
    input_shape: Shape
    input_bits: int
    input_scale: float
    layers: tuple[QuantizedLayer, ...]

    def scales(self) -> dict[str, float]:
        """Real value of one unit of every population, the input's under ``input``."""
        return {"input": self.input_scale, **{layer.name: layer.scale for layer in self.layers}}


def save_quantized(network: QuantizedNetwork, path: Path | str) -> None:
    """Write the network as one archive without pickled objects; same network, same bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    layers = []
    for i, layer in enumerate(network.layers):
        for key in _ARRAYS:
            arrays[f"{i}.{key}"] = getattr(layer, key)
        if layer.table is not None:
            arrays[f"{i}.table"] = layer.table
        for j, branch in enumerate(layer.branches):
            arrays[f"{i}.weight.{j}"] = branch.weight
        description = {key: getattr(layer, key) for key in _PLAIN}
        description["pool"] = None if layer.pool is None else vars(layer.pool)
        description["branches"] = [
            {key: getattr(branch, key) for key in _BRANCH} for branch in layer.branches
        ]
        layers.append(description)
    plain = {f.name: getattr(network, f.name) for f in fields(network) if f.name != "layers"}
    write_archive(path, "quantized network", {**plain, "layers": layers}, arrays)


def load_quantized(path: Path | str) -> QuantizedNetwork:
    """Inverse of :func:`save_quantized`; ``FormatError`` where the file is something else."""
    content, arrays = read_archive(path, "quantized network")
    try:
        layers = tuple(_layer(i, entry, arrays) for i, entry in enumerate(content.pop("layers")))
        shape = _sizes(content.pop("input_shape"))
        return QuantizedNetwork(input_shape=shape, layers=layers, **content)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(str(path), f"must hold a quantized network: {error!r}") from error


_ARRAYS = ("bias", "multiplier", "rescale_shift", "acc_scale")
_PLAIN = ("name", "shape", "bias_shift", "bits", "is_signed", "top", "scale", "bias_format")
_BRANCH = ("source", "stride", "padding", "groups", "shift")


def _sizes(values: list[int]) -> Any:
    return tuple(int(value) for value in values)


def _layer(i: int, entry: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> QuantizedLayer:
    branches = tuple(
        QuantizedBranch(
            weight=arrays[f"{i}.weight.{j}"],
            **{k: _sizes(v) if isinstance(v, list) else v for k, v in branch.items()},
        )
        for j, branch in enumerate(entry["branches"])
    )
    pool = entry["pool"]
    plain: dict[str, Any] = {key: entry[key] for key in _PLAIN if key != "shape"}
    plain |= {key: arrays[f"{i}.{key}"] for key in _ARRAYS}
    return QuantizedLayer(
        shape=_sizes(entry["shape"]),
        branches=branches,
        pool=None if pool is None else MaxPool(**{k: _sizes(v) for k, v in pool.items()}),
        table=arrays.get(f"{i}.table"),
        **plain,
    )
