# SPDX-License-Identifier: Apache-2.0
"""The calls that end a program and that the host computes, not the chip."""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from stemcore.golden.network.tail import (
    BOTH,
    INDICES,
    VALUES,
    ArgMax,
    Arrange,
    LogSoftmax,
    Sigmoid,
    Softmax,
    TailStep,
    TopK,
)

from .capture_moves import MOVES, Moved, move, unmoved


def _axis(fx_node: Any, position: int) -> int:
    """An axis argument, counted from the front; the last one where there is none."""
    given = _argument(fx_node, position, "dim", -1)
    axis: int = given % len(_shape_of(fx_node.args[0]))
    return axis


def _argument(fx_node: Any, position: int, name: str, default: Any) -> Any:
    if len(fx_node.args) > position:
        return fx_node.args[position]
    return fx_node.kwargs.get(name, default)


def _softmax(fx_node: Any) -> TailStep:
    return Softmax(_axis(fx_node, 1))


def _log_softmax(fx_node: Any) -> TailStep:
    return LogSoftmax(_axis(fx_node, 1))


def _sigmoid(fx_node: Any) -> TailStep:
    return Sigmoid()


def _argmax(fx_node: Any) -> TailStep:
    return ArgMax(_axis(fx_node, 1), bool(_argument(fx_node, 2, "keepdim", False)))


def _topk(fx_node: Any) -> TailStep:
    largest = bool(_argument(fx_node, 3, "largest", True))
    return TopK(_axis(fx_node, 2), int(fx_node.args[1]), largest)


HOST: Mapping[str, Callable[[Any], TailStep]] = {
    "aten.softmax.int": _softmax,
    "aten._softmax.default": _softmax,
    "aten.log_softmax.int": _log_softmax,
    "aten._log_softmax.default": _log_softmax,
    "aten.sigmoid.default": _sigmoid,
    "aten.argmax.default": _argmax,
    "aten.max.dim": _argmax,
    "aten.topk.default": _topk,
}
_BOTH_OF = "aten.topk.default"  # whose two results may be the program's


def find_tails(ends: list[Any]) -> list[list[Any]]:
    """For each output of a program the calls at its end that the host computes, in order.

    The first one is no move: what only moves values before it belongs to what it reads. Two outputs
    that are both results of one top-k have a tail in common, in the place of the first; the second
    has none. What the chip reads as well is no tail.
    """
    if len(ends) == 2 and _are_both_of_one(ends):
        return [_tail_before(ends[0].args[0], ends[::-1]), []]
    tails = [_tail_before(end, []) for end in ends]
    while True:
        of_host = {node for tail in tails for node in tail}
        kept = [[] if any(_is_read(node, of_host) for node in tail) else tail for tail in tails]
        if kept == tails or len(ends) == 1:
            return tails
        tails = kept


def _is_read(node: Any, of_host: set[Any]) -> bool:
    """Whether something that is not of the host reads a call's result."""
    readers = [user for user in node.users if user.op != "output" and user.users]
    return any(user not in of_host for user in readers)


def _tail_before(node: Any, found: list[Any]) -> list[Any]:
    """The calls that lead to a node, and to what was ``found`` behind it, the last one first."""
    while node is not None and node.op == "call_function" and _may_end(node):
        found.append(node)
        node = node.args[0]
    while found and not _is_host(found[-1]):
        found.pop()
    return found[::-1] if all(_is_readable(node) for node in found) else []


def _are_both_of_one(ends: list[Any]) -> bool:
    picks = [node for node in ends if node is not None and node.target is operator.getitem]
    source = picks[0].args[0] if len(picks) == 2 else None
    return (
        source is not None
        and str(source.target) == _BOTH_OF
        and [(node.args[0], node.args[1]) for node in picks] == [(source, 0), (source, 1)]
    )


def _is_host(fx_node: Any) -> bool:
    return str(fx_node.target) in HOST


def _may_end(fx_node: Any) -> bool:
    if not hasattr(fx_node.args[0], "meta"):
        return False
    is_move = str(fx_node.target) in MOVES and len(fx_node.all_input_nodes) == 1
    return _is_host(fx_node) or is_move or fx_node.target is operator.getitem


def _is_readable(fx_node: Any) -> bool:
    """Whether the batch stays apart: an axis is named and is not that of the images."""
    target = str(fx_node.target)
    if target == "aten.argmax.default" and _argument(fx_node, 1, "dim", None) is None:
        return False
    # The index of the largest, not its value.
    if target == "aten.max.dim" and any(u.args[1] == 0 and u.users for u in fx_node.users):
        return False
    if target in HOST and target != "aten.sigmoid.default":
        return _axis(fx_node, 2 if target == _BOTH_OF else 1) >= 1
    return True


def read_tail(calls: list[Any], before: Moved, n_before: int) -> tuple[TailStep, ...] | None:
    """Steps for the calls of :func:`find_tails`; None where images of a batch get mixed.

    ``before``: the value that the first one reads, elements of the network's output, which has
    ``n_before`` of them.
    """
    steps: list[TailStep] = []
    now, n_elements, is_first = before, n_before, True
    for fx_node in calls:
        if _is_host(fx_node):
            steps += _arrange(now, n_elements, is_needed=is_first)
            steps.append(HOST[str(fx_node.target)](fx_node))
            shape = _shape_of(fx_node)
            now, n_elements, is_first = unmoved("tail", shape), math.prod(shape[1:]), False
        elif fx_node.target is operator.getitem:
            last = steps[-1]
            if isinstance(last, TopK):  # of ArgMax it is the index that it gives
                is_second = last.result != BOTH
                result = BOTH if is_second else (VALUES, INDICES)[fx_node.args[1]]
                steps[-1] = replace(last, result=result)
        else:
            moved = move(fx_node, now)
            if moved is None:
                return None
            now = moved
    return (*steps, *_arrange(now, n_elements, is_needed=False))


def arrange_output(value: Moved, n_elements: int) -> tuple[TailStep, ...]:
    """The step that brings a network's output of ``n_elements`` into the order of ``value``; none
    where it has it."""
    if is_in_order(value, n_elements):
        return ()
    return tuple(_arrange(value, n_elements, is_needed=True))


def is_in_order(value: Moved, n_elements: int) -> bool:
    """Whether a value holds all ``n_elements`` elements of its source, in their order."""
    if value.fx_node is None or not isinstance(value.positions, torch.Tensor):
        return True
    places = value.positions[0].reshape(-1).numpy()
    return bool(np.array_equal(places, np.arange(n_elements)))


def _arrange(value: Moved, n_elements: int, *, is_needed: bool) -> list[TailStep]:
    """The step for a value that was moved; ``is_needed``: also for one that was not."""
    assert isinstance(value.positions, torch.Tensor)
    if value.fx_node is None and not is_needed:
        return []
    shape = tuple(int(size) for size in value.positions.shape[1:])
    if is_in_order(value, n_elements):
        return [Arrange(shape)]
    places = value.positions[0].reshape(-1).tolist()
    return [Arrange(shape, tuple(int(place) for place in places))]


def _shape_of(fx_node: Any) -> tuple[int, ...]:
    """Shape with the batch, of the first of several tensors; a free batch counts as two."""
    value = fx_node.meta["val"]
    value = value[0] if isinstance(value, (tuple, list)) else value
    return tuple(size if isinstance(size, int) else 2 for size in value.shape)
