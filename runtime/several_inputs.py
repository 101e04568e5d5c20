# SPDX-License-Identifier: Apache-2.0
"""Images for networks with several inputs: a tuple of arrays, or a dict by the inputs' names.

Each input has an input map of its own. The compiler and all engines get one array with the channels
of all (:mod:`stemcore.compiler.input_parts`).
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.input_map import AUTO, UNSTATED, InputMap
from stemcore.compiler.input_parts import (
    InputPart,
    as_given,
    pack,
    packed_map,
    with_one_sign,
)
from stemcore.compiler.pipeline import Compilation
from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.golden.network.network import Population

from .compile_input import stated_map
from .images import as_array, integer_images

_log = logging.getLogger(__name__)


def meaning(stated: Any, said: str) -> InputMap:
    """The map of :func:`.compile_input.stated_map`, which nothing can be tried for here."""
    found = stated_map(stated, said)
    if found is None:
        raise ValueError(
            f"input: must be stated for each of several inputs, got {AUTO!r}, which is tried on "
            "networks with one"
        )
    return found


def meanings(stated: Any, said: str, parts: Sequence[InputPart]) -> tuple[InputMap, ...]:
    """A map for each input: stated by name, in order, or once for all, in words
    ``NAME=unit;NAME=-1..1`` perhaps; all with a sign where one has it, which is logged."""
    text = said if stated is None else stated
    if isinstance(text, str) and "=" in text:
        pairs = [item.partition("=") for item in text.split(";")]
        stated = {name.strip(): words.strip() for name, _, words in pairs}
    if isinstance(stated, Mapping):
        found = [meaning(one, "") for one in as_given(stated, parts, "input", "a statement")]
    else:
        found = [meaning(stated, said)] * len(parts)
    maps = with_one_sign(found)
    for part, before, after in zip(parts, found, maps, strict=True):
        if before != after:
            _log.warning(
                "input %s: %s has no sign and another input has one; all are fired by one "
                "population, so it has 7 bits: one code is worth %.4g in place of %.4g",
                part.name,
                before.name,
                max(after.step),
                max(before.step),
            )
    return maps


def sizes_of(images: Any, where: str) -> Any:
    """Shapes without the batch: of one array, of a tuple of arrays, or of a dict of them."""
    if isinstance(images, Mapping):
        return {name: as_array(one, f"{where} {name}").shape[1:] for name, one in images.items()}
    if isinstance(images, tuple) and all(hasattr(one, "shape") for one in images):
        return tuple(as_array(one, where).shape[1:] for one in images)
    return as_array(images, where).shape[1:]


def is_packed(images: Any, source: Population) -> bool:
    """Whether images are codes of all inputs in one array already."""
    return (
        isinstance(images, np.ndarray)
        and images.dtype.kind == "i"
        and images.shape[1:] == source.shape
    )


def packed_images(
    images: Any,
    parts: Sequence[InputPart],
    maps: Sequence[InputMap],
    where: str,
    *,
    sets_scales: bool = False,
) -> NDArray[np.integer]:
    """Codes (N, C, H, W) of all inputs; ``ValueError`` for images that do not fit them."""
    given = as_given(images, parts, where)
    codes = [
        integer_images(
            one,
            part.shape,
            f"{where} {part.name}",
            input_map=found,
            sets_scales=sets_scales and found == UNSTATED,
        )
        for one, part, found in zip(given, parts, maps, strict=True)
    ]
    counts = {part.name: len(one) for part, one in zip(parts, codes, strict=True)}
    if len(set(counts.values())) > 1:
        came = ", ".join(f"{name} {n}" for name, n in counts.items())
        raise ValueError(f"{where}: every input must have as many images; {came} came")
    return pack(codes, parts)


def with_parts(
    begun: Compilation, stated: Any, said: str, calibration: Any, activity: Any
) -> Compilation:
    """A compilation whose model is captured, with the maps and images of its inputs."""
    parts = begun.graph.parts
    if not parts:
        raise ValueError(
            "calibration: must be one array for a network with one input; a "
            f"{type(calibration).__name__} came"
        )
    maps = meanings(stated, said, parts)
    images = packed_images(calibration, parts, maps, "calibration", sets_scales=True)
    spikes = None if activity is None else packed_images(activity, parts, maps, "activity")
    changed = begun.with_inputs(calibration=images[:CALIBRATION_IMAGES], activity_images=spikes)
    return changed.with_options(input_map=packed_map(maps, parts), part_maps=maps)
