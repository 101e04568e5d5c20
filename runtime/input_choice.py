# SPDX-License-Identifier: Apache-2.0
"""Which input map a run has: the one asked for, the one the model states, or the one that works.

A network that nobody states an input of is refused: a guess would change its answers in silence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stemcore.compiler.errors import CompileError
from stemcore.compiler.frontend.graph import Graph
from stemcore.compiler.frontend.ops.batch_norm import BatchNorm
from stemcore.compiler.input_map import AUTO, UNSTATED, WHERE, InputMap, parse_input, range_map
from stemcore.golden.network.network import INPUT
from stemcore.models.data import AnyDataset, Dataset

from .report.accuracy import predictions

AUTO_IMAGES = 256
# What networks are usually trained on: 0..1, -1..1, ImageNet's statistics as torchvision has them,
# bytes as they are.
USUAL = (
    "unit",
    "signed",
    "0.485,0.456,0.406,0.229,0.224,0.225",
    "u8",
)
# A network that knows its classes is right more often than this multiple of chance.
BETTER_THAN_CHANCE = 1.5


def stated_map(asked: str, said: str, graph: Graph) -> InputMap | None:
    """The map that the user asks for, else the one that the model states; None for ``auto``.

    Raises :class:`CompileError` where neither says anything, and for words that say nothing.
    """
    if asked == AUTO:
        return None
    text = asked or said
    if not text:
        _ask(graph)
    found = parse_input(text)
    found.check_channels(graph.input_shape[0])
    return found


def _ask(graph: Graph) -> None:
    """Raises what asks for a statement; a network that begins with its own normalization shows what
    it is likely to take."""
    try:
        UNSTATED.check_bytes()
    except CompileError as error:
        first = [node.op for node in graph.nodes if INPUT in node.inputs]
        if first and all(isinstance(op, BatchNorm) and op.offset.any() for op in first):
            hint = (
                "; the network begins with a normalization of its own, and most of those take "
                "unit, values in 0..1"
            )
            raise CompileError(error.where, error.problem, error.remedy + hint) from None
        raise


def find_map(
    asked: str,
    said: str,
    graph: Graph,
    dataset: AnyDataset,
    try_out: Callable[[InputMap], NDArray[np.float32]],
    say: Callable[[str], None],
) -> InputMap:
    """The map of a run, once its data are there; ``say`` is told where somebody chose.

    Floats are what the network sees: where nobody states a range, theirs is taken.

    asked, said : what the user asks for, and what the model states
    graph : captured
    try_out : outputs of the float network on the first ``AUTO_IMAGES`` training images
    """
    if isinstance(dataset, Dataset) and dataset.value_range is not None:
        low, high = dataset.value_range
        if asked in ("", AUTO) and not said:
            found = range_map(f"floats {low:.6g}..{high:.6g}", low, high)
            say(f"input        {found.describe()}")
            return found
        asked = "" if asked == AUTO else asked
    found_or_none = stated_map(asked, said, graph)
    if found_or_none is None:
        return choose_map(try_out, dataset, say)
    other = asked and said not in ("", asked)
    instead = f" (asked for; the model states {said})" if other else ""
    say(f"input        {found_or_none.describe()}{instead}")
    return found_or_none


@dataclass(frozen=True)
class _Trial:
    """A map, the share of images that the float network gets right with it, and its mean loss."""

    found: InputMap
    right: float
    loss: float


def choose_map(
    try_out: Callable[[InputMap], NDArray[np.float32]],
    dataset: AnyDataset,
    say: Callable[[str], None],
) -> InputMap:
    """:func:`choose_map_for` the training images of a data set, if they have labels."""
    if not isinstance(dataset, Dataset):
        raise _not_tried(f"that needs images with one label each, got {dataset.name}")
    images, labels = dataset.train_images[:AUTO_IMAGES], dataset.train_labels[:AUTO_IMAGES]
    return choose_map_for(images, labels, dataset.n_classes, try_out, say)


def choose_map_for(
    images: NDArray[Any],
    labels: NDArray[np.int64],
    n_classes: int,
    try_out: Callable[[InputMap], NDArray[np.float32]],
    say: Callable[[str], None],
) -> InputMap:
    """The usual map with which the float network gets most images (N, C, H, W) right.

    Of equals the one with the smaller cross-entropy. ``say`` is told what was tried. Raises
    :class:`CompileError` where labels (N,) do not fit, and where no map does better than chance.
    """
    if not len(images) or len(set(labels.tolist())) < 2:
        raise _not_tried("there are no images of two classes or more to try it on")
    trials = []
    for text in USUAL:
        candidate = parse_input(text)
        if len(candidate.gain) in (1, images.shape[1]):
            outputs = try_out(candidate).reshape(len(images), -1)
            if outputs.shape[1] != n_classes:
                raise _not_tried(
                    f"the network has {outputs.shape[1]} outputs for {n_classes} classes"
                )
            right = float((predictions(outputs) == labels).mean())
            trials.append(_Trial(candidate, right, _cross_entropy(outputs, labels)))
    best = max(trials, key=lambda trial: (trial.right, -trial.loss))
    tried = ", ".join(f"{trial.found.name} {100 * trial.right:.1f} %" for trial in trials)
    say(
        f"input        {best.found.name} by {AUTO}: of {len(images)} training images right: {tried}"
    )
    chance = max(np.bincount(labels)) / len(labels)
    if best.right < min(BETTER_THAN_CHANCE * chance, 1 - (1 - chance) / 2):
        raise _not_tried(
            f"no usual input does better than chance, {100 * chance:.1f} % ({tried}): the network "
            "is not trained on these classes, or takes another input"
        )
    return best.found


def _cross_entropy(outputs: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    scores = torch.from_numpy(outputs.astype(np.float64))
    return float(torch.nn.functional.cross_entropy(scores, torch.from_numpy(labels)))


def _not_tried(reason: str) -> CompileError:
    return CompileError(
        f"{WHERE}={AUTO}", f"must find out what a byte means; {reason}", f"state {WHERE} yourself"
    )
