# SPDX-License-Identifier: Apache-2.0
"""What the host computes once the output has left the chip: the network's tail, step by step.

Softmax, argmax and their relatives need all outputs at once, or real numbers; they end a network,
and no spike depends on them. The host applies the steps in order to the real values that the
output's integers stand for (N, C, H, W). Axes count the batch as axis 0, so they are 1 or more.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


class TailStep:
    """One step. The class attribute ``tells_classes``: whether outputs that it reads are scores of
    classes that exclude each other."""

    tells_classes = False

    def apply(self, values: Array) -> Any:
        """The step's result for values (N, ..)."""
        raise NotImplementedError

    def describe(self) -> str:
        """The step in words, for a line of a run."""
        raise NotImplementedError


@dataclass(frozen=True)
class Scale(TailStep):
    """Integers to the real numbers that they stand for."""

    factor: float

    def __post_init__(self) -> None:
        _check(isinstance(self.factor, float) and 0 < self.factor < float("inf"), self, "positive")

    def apply(self, values: Array) -> Array:
        return values * np.float64(self.factor)

    def describe(self) -> str:
        return f"times {self.factor:g}"


@dataclass(frozen=True)
class Arrange(TailStep):
    """Values in another order and shape.

    ``positions``: place of each value among those of its image, flattened; None: in order.
    ``shape``: of the result, without the batch.
    """

    shape: tuple[int, ...]
    positions: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        places = () if self.positions is None else self.positions
        _check(all(_is_count(size) for size in self.shape), self, "a shape of positive sizes")
        _check(all(_is_count(place + 1) for place in places), self, "positions of 0 or more")
        fits = self.positions is None or len(places) == int(np.prod(self.shape))
        _check(fits, self, "a position for every value of its shape")

    def apply(self, values: Array) -> Array:
        flat = values.reshape(len(values), -1)
        if self.positions is not None:
            flat = flat[:, np.array(self.positions, np.int64)]
        return flat.reshape(len(values), *self.shape)

    def describe(self) -> str:
        what = "shape" if self.positions is None else "order and shape"
        return f"{what} {self.shape}"


@dataclass(frozen=True)
class _AlongAxis(TailStep):
    axis: int

    def __post_init__(self) -> None:
        _check(_is_count(self.axis), self, "an axis behind the batch")


@dataclass(frozen=True)
class Softmax(_AlongAxis):
    """``exp(x) / sum of exp(x)`` along an axis."""

    tells_classes = True

    def apply(self, values: Array) -> Array:
        return np.exp(_log_softmax(values, self.axis))

    def describe(self) -> str:
        return f"softmax over axis {self.axis}"


@dataclass(frozen=True)
class LogSoftmax(_AlongAxis):
    """The logarithm of the softmax along an axis."""

    tells_classes = True

    def apply(self, values: Array) -> Array:
        return _log_softmax(values, self.axis)

    def describe(self) -> str:
        return f"log_softmax over axis {self.axis}"


@dataclass(frozen=True)
class Sigmoid(TailStep):
    """``1 / (1 + exp(-x))``."""

    def apply(self, values: Array) -> Array:
        # One of the two forms overflows where the other does not.
        small = np.exp(-np.abs(values))
        return np.where(values >= 0, 1 / (1 + small), small / (1 + small))

    def describe(self) -> str:
        return "sigmoid"


@dataclass(frozen=True)
class ArgMax(_AlongAxis):
    """Index of the largest value along an axis, the first of equals; ``keeps_axis``: of size 1."""

    keeps_axis: bool = False

    tells_classes = True

    def apply(self, values: Array) -> Array:
        found: Array = values.argmax(axis=self.axis, keepdims=self.keeps_axis)
        return found

    def describe(self) -> str:
        return f"argmax over axis {self.axis}"


VALUES, INDICES, BOTH = TOP_RESULTS = ("values", "indices", "both")


@dataclass(frozen=True)
class TopK(_AlongAxis):
    """The ``k`` largest (or smallest) values along an axis in order, the first of equals first.

    ``result``: the values, their indices, or a tuple of both, which ends a tail.
    """

    k: int
    largest: bool = True
    result: str = BOTH

    tells_classes = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(_is_count(self.k), self, "k of 1 or more")
        _check(self.result in TOP_RESULTS, self, f"a result of {', '.join(TOP_RESULTS)}")

    def apply(self, values: Array) -> Array | tuple[Array, Array]:
        keys = -values if self.largest else values
        order = np.argsort(keys, axis=self.axis, kind="stable")
        indices = order.take(np.arange(self.k), axis=self.axis)
        if self.result == INDICES:
            return indices
        found = np.take_along_axis(values, indices, axis=self.axis)
        return found if self.result == VALUES else (found, indices)

    def describe(self) -> str:
        which = "largest" if self.largest else "smallest"
        return f"the {self.k} {which} over axis {self.axis}"


def _log_softmax(values: Array, axis: int) -> Array:
    below = values - values.max(axis=axis, keepdims=True)
    result: Array = below - np.log(np.exp(below).sum(axis=axis, keepdims=True))
    return result


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _check(holds: bool, step: TailStep, what: str) -> None:
    if not holds:
        raise ValueError(f"tail: {type(step).__name__} must have {what}, got {step}")


def apply_tail(steps: Iterable[TailStep], values: ArrayLike) -> Any:
    """What a tail makes of outputs (N, C, H, W): an array, or a tuple of two where it ends so."""
    found: Any = np.asarray(values)
    for step in steps:
        found = step.apply(found)
    return found


def describe_tail(steps: Iterable[TailStep]) -> str:
    """A tail in words."""
    return ", ".join(step.describe() for step in steps)


_STEPS: dict[str, type[TailStep]] = {
    step.__name__: step for step in (Scale, Arrange, Softmax, LogSoftmax, Sigmoid, ArgMax, TopK)
}


def tail_to_plain(steps: Sequence[TailStep]) -> list[dict[str, Any]]:
    """A tail as JSON data."""
    return [{"is": type(s).__name__, **dataclasses.asdict(s)} for s in steps]  # type: ignore[call-overload]


def tail_from_plain(plain: Sequence[Mapping[str, Any]]) -> tuple[TailStep, ...]:
    """Inverse of :func:`tail_to_plain`; ``ValueError`` or ``TypeError`` for anything else."""
    steps = []
    for entry in plain:
        kind = _STEPS.get(entry["is"])
        if kind is None:
            raise ValueError(f"a step must be one of {', '.join(_STEPS)}, got {entry['is']!r}")
        fields = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in entry.items()
            if name != "is"
        }
        steps.append(kind(**fields))
    return tuple(steps)
