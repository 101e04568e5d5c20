# SPDX-License-Identifier: Apache-2.0
"""What a byte of an image means to a network that one call compiles: stated, said, or tried."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemcore.compiler.frontend.fx import graph_shape
from stemcore.compiler.input_map import AUTO, UNSTATED, InputMap, parse_input
from stemcore.compiler.pipeline import Compilation, run_stages
from stemcore.compiler.stages import CALIBRATION_IMAGES, Inputs, Options

from .images import Shape, as_array, integer_images

_log = logging.getLogger(__name__)

Stated = str | Sequence[Any] | InputMap | None


def live_model(model: Any, name: str) -> tuple[Any, str]:
    """What a frontend reads, and what that says of its input; ``file.py:function`` is called."""
    from stemcore.models.stated_input import archive_input, stated_input

    if isinstance(model, str) and ".py:" in model:
        from .own_model import load_own_model

        loaded = load_own_model(model)
        return loaded.module, loaded.input
    if isinstance(model, str | Path):
        return model, archive_input(model)
    return model, stated_input(name, model)


def stated_map(stated: Stated, said: str) -> InputMap | None:
    """The map that the caller states, else the one that the model says, else none for bytes; None
    where it is to be tried."""
    from stemcore.models.stated_input import pair_in_words

    if isinstance(stated, InputMap):
        return stated
    text = said if stated is None else pair_in_words(stated, "input")
    if text == AUTO:
        return None
    return parse_input(text) if text else UNSTATED


def meant(
    stated: Stated,
    said: str,
    module: Any,
    calibration: Any,
    labels: ArrayLike | None,
    input_shape: tuple[int, ...],
) -> InputMap:
    """The map of :func:`stated_map`.

    ``auto`` tries the usual ones on the bytes of ``calibration``, whose classes are ``labels``, as
    the commands do (:mod:`stemcore.runtime.input_choice`); the logger is told what was found.

    Raises ``ValueError`` for images and labels that do not fit, or that nothing asks for, and
    ``CompileError`` where no usual map does better than chance.
    """
    found = stated_map(stated, said)
    if found is not None:
        if labels is not None:
            raise ValueError(f"labels: are for input={AUTO!r} alone; leave them out")
        return found
    images = as_array(calibration, "calibration")
    if images.dtype != np.uint8 or labels is None:
        came = "no labels" if labels is None else str(images.dtype)
        raise ValueError(
            f"input: {AUTO!r} is tried on uint8 bytes of pictures with their classes, got {came}; "
            "pass both, calibration= and labels=, or state the input"
        )
    return _tried(module, images, np.asarray(labels), input_shape)


def inputs_of_one(
    module: Any, found: InputMap, shape: Shape | None, calibration: Any, activity: Any
) -> Inputs:
    """Model and images of a network with one input, of ``shape`` (C, H, W) or (C, 1, L)."""
    images = integer_images(calibration, shape, "calibration", input_map=found, sets_scales=True)
    spikes = None
    if activity is not None:
        spikes = integer_images(activity, shape, "activity", input_map=found)
    return Inputs(module, images[:CALIBRATION_IMAGES], spikes)


def _tried(
    module: Any, images: NDArray[np.uint8], labels: NDArray[Any], input_shape: tuple[int, ...]
) -> InputMap:
    from .input_choice import AUTO_IMAGES, choose_map_for
    from .own_model import GraphModule
    from .report.accuracy import float_outputs

    captured = run_stages(
        Compilation(Options(input_shape=input_shape), Inputs(module)), stop="check"
    )
    graph = captured.graph
    _, height, width = graph.shape_of(graph.output)
    n_classes = graph.shape_of(graph.output)[0] * height * width
    is_class = labels.dtype.kind in "iu" and labels.shape == (len(images),)
    if not is_class or not len(labels) or labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(
            f"labels: must be {len(images)} integers 0..{n_classes - 1}, one a calibration image, "
            f"got {labels.dtype} of the shape {labels.shape}"
            + (f", {labels.min()}..{labels.max()}" if is_class and len(labels) else "")
        )
    shape = graph_shape(images.shape[1:]) or images.shape[1:]
    tried = images.reshape(len(images), *shape)[:AUTO_IMAGES]
    return choose_map_for(
        tried,
        labels[:AUTO_IMAGES].astype(np.int64),
        n_classes,
        lambda candidate: float_outputs(GraphModule(graph), tried, candidate, graph.input_shape),
        lambda line: _log.warning("%s", " ".join(line.split())),
    )
