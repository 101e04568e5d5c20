# SPDX-License-Identifier: Apache-2.0
"""What a network returns that gives more than one tensor: its outputs, and how they are arranged.

The host receives the spikes of several layers. A spike that reaches it names, as its axon, which of
them has fired: layers are numbered in the order in which the outputs first name them. Arrays that
hold all outputs of N images are flat, (N, E, 1, 1): the values (C, H, W) of one layer after those
of the other.

The ``structure`` is JSON: a number is that output, ``null`` is None, ``{"tuple": [..]}``,
``{"list": [..]}`` and ``{"dict": [[key, ..], ..]}`` hold others.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .tail import TailStep, apply_tail, describe_tail

DEEPEST = 32  # containers in one another


@dataclass(frozen=True)
class Output:
    """One tensor that a network returns.

    Attributes
    ----------
    name : str
        Where it stands in what the network returns: ``scores``, ``0``, ``levels.1``.
    source : str
        Population whose values it is.
    tail : tuple of TailStep
        What the host computes of its values.
    shape : tuple of int
        Of one image's tensor in the network's own dimensions, before the tail; empty: (C, H, W).
    kind : str
        What they were taken for when the scale was chosen
        (:mod:`stemcore.compiler.quantization.outputs`); empty before.
    """

    name: str
    source: str
    tail: tuple[TailStep, ...] = ()
    shape: tuple[int, ...] = ()
    kind: str = ""

    def final(self, values: ArrayLike) -> Any:
        """What the network returns for real values (N, C, H, W) of the source."""
        array = np.asarray(values)
        if self.tail or not self.shape:
            return apply_tail(self.tail, array)
        return array.reshape(len(array), *self.shape)


@dataclass(frozen=True)
class Results:
    """All outputs in order, and how they are arranged; empty where the last layer is the output.

    Several outputs may have one source.
    """

    outputs: tuple[Output, ...] = ()
    structure: str = ""

    def __bool__(self) -> bool:
        return bool(self.outputs)

    @property
    def sources(self) -> tuple[str, ...]:
        """Populations that the host receives, each once; a place is the axon of its spikes."""
        return tuple(dict.fromkeys(output.source for output in self.outputs))

    def with_sources(self, rename: Callable[[str], str]) -> "Results":
        """The same outputs of renamed populations."""
        outputs = tuple(replace(o, source=rename(o.source)) for o in self.outputs)
        return replace(self, outputs=outputs)

    def arrange(self, values: Sequence[Any]) -> Any:
        """One value for each output, as the network returns them."""
        return _arrange(json.loads(self.structure), values)


ONE_OUTPUT = Results()


def describe_tails(outputs: Sequence[Output]) -> str:
    """What the host computes of each output, in words; empty where it computes nothing."""
    if len(outputs) == 1:
        return describe_tail(outputs[0].tail)
    return "; ".join(f"{o.name}: {describe_tail(o.tail)}" for o in outputs if o.tail)


def check_results(results: Results, populations: Mapping[str, Any]) -> None:
    """Raises ``ValueError`` unless every output is of a population, has a name of its own, and
    stands in the structure."""
    if not results:
        return
    names = [output.name for output in results.outputs]
    if len(set(names)) < len(names):
        raise ValueError(f"outputs: must have different names, got {', '.join(names)}")
    for output in results.outputs:
        if output.source not in populations:
            raise ValueError(
                f"output {output.name}: must be of one of {', '.join(populations)}, got "
                f"{output.source!r}"
            )
    try:
        named = sorted(set(_numbers(json.loads(results.structure))))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"outputs: their arrangement must be JSON, got: {error}") from error
    if named != list(range(len(names))):
        raise ValueError(f"outputs: the arrangement must hold {len(names)} outputs, holds {named}")


def _numbers(node: Any, depth: int = 0) -> Iterator[int]:
    if node is None:
        return
    if isinstance(node, int) and not isinstance(node, bool) and node >= 0:
        yield node
        return
    kind, parts = _container(node)
    if depth == DEEPEST:
        raise ValueError(f"outputs: at most {DEEPEST} containers may be in one another")
    for part in parts:
        if kind == "dict" and not (
            isinstance(part, list) and len(part) == 2 and isinstance(part[0], str | int)
        ):
            raise ValueError(f"outputs: a dict must hold pairs of key and value, got {part!r}")
        yield from _numbers(part[1] if kind == "dict" else part, depth + 1)


def _container(node: Any) -> tuple[str, list[Any]]:
    if isinstance(node, dict) and len(node) == 1:
        ((kind, parts),) = node.items()
        if kind in ("tuple", "list", "dict") and isinstance(parts, list):
            return kind, parts
    raise ValueError(f"outputs: must be arranged in tuple, list or dict, got {node!r}")


def _arrange(node: Any, values: Sequence[Any]) -> Any:
    if node is None:
        return None
    if isinstance(node, int):
        return values[node]
    kind, parts = _container(node)
    if kind == "dict":
        return {key: _arrange(part, values) for key, part in parts}
    found = [_arrange(part, values) for part in parts]
    return tuple(found) if kind == "tuple" else found


def join(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Values (N, C, H, W) of several populations as one flat array (N, E, 1, 1); those of one as
    they are."""
    if len(arrays) == 1:
        return arrays[0]
    flat = np.concatenate([_flat(array) for array in arrays], axis=1)
    return flat[:, :, None, None]


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(len(array), int(np.prod(array.shape[1:])))


def part(
    values: NDArray[Any], shapes: Mapping[str, tuple[int, int, int]], name: str
) -> NDArray[Any]:
    """Values (N, C, H, W) of one population among those of all in ``shapes``: inverse of
    :func:`join`."""
    start = 0
    for other, shape in shapes.items():
        size = int(np.prod(shape))
        if other == name:
            return _flat(values)[:, start : start + size].reshape(len(values), *shape)
        start += size
    raise KeyError(name)
