# SPDX-License-Identifier: Apache-2.0
"""What the values of the output layers are, which decides how their scales are chosen.

``classes``  scores of classes that exclude each other: the largest one is the answer. The scale
             loses the fewest largest ones, and may clip.
``values``   numbers of their own, such as coordinates or an angle: the scale clips nothing that
             calibration has shown.
``maps``     values at many positions, of which nobody said more: the scale is chosen as in all
             other layers.
``given``    of a model that came quantized: the scale is its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stemcore.golden.network.network import OUTPUT
from stemcore.golden.network.results import Results
from stemcore.golden.network.tail import TailStep

from ..errors import QuantizeError
from ..frontend.graph import Graph
from ..frontend.ops.operator import Shape

CLASSES, VALUES, MAPS, GIVEN = "classes", "values", "maps", "given"
CHOICES = (CLASSES, VALUES)  # what a user may say

DESCRIPTIONS = {
    CLASSES: "class scores: the scale that loses the fewest largest ones",
    VALUES: "values: a scale that clips none of them in calibration",
    MAPS: "maps: a scale chosen like that of other layers",
    GIVEN: "the scale that the quantized model gives them",
}


def kind_of_outputs(shape: Shape, tail: Sequence[TailStep], choice: str | None) -> str:
    """What the outputs (C, H, W) are taken for.

    ``choice`` is what the user said, None where nothing: outputs of one position are then classes
    only if the tail says so. Class scores at many positions are maps. ``QuantizeError`` for another
    choice.
    """
    if choice not in (None, *CHOICES):
        raise QuantizeError(
            "outputs", f"must be {' or '.join(CHOICES)}, got {choice!r}", "leave it out if unsure"
        )
    is_map = shape[1:] != (1, 1)
    if choice == VALUES:
        return VALUES
    if is_map:
        return MAPS
    tells_classes = any(step.tells_classes for step in tail)
    return CLASSES if choice == CLASSES or tells_classes else VALUES


def choices_of(text: str | None, names: Sequence[str]) -> dict[str, str | None]:
    """What the user said of each output: ``classes`` for all, or ``NAME=classes,NAME=values``.

    ``QuantizeError`` where a name is none of ``names``.
    """
    if text is None or "=" not in text:
        return dict.fromkeys(names, text)
    found: dict[str, str | None] = dict.fromkeys(names)
    for item in text.split(","):
        name, _, choice = (part.strip() for part in item.rpartition("="))
        if name not in found:
            raise QuantizeError(
                "outputs",
                f"must name outputs of the network, got {name!r}",
                f"the outputs are {', '.join(names)}",
            )
        found[name] = choice
    return found


def check_choice(text: str) -> str:
    """The option as it is; ``ValueError`` for what is none, whatever the network's outputs are."""
    said = [item.rpartition("=") for item in text.split(",")] if "=" in text else [("", "", text)]
    for name, equals, choice in said:
        if choice.strip() not in CHOICES or bool(equals) != bool(name.strip()):
            raise ValueError(
                f"must be {' or '.join(CHOICES)}, of several outputs such as "
                f"scores={CLASSES},box={VALUES}; {text!r} came"
            )
    return text


def stated_outputs(stated: str | Mapping[str, str] | None) -> str | None:
    """What a caller says of the outputs, in the form of the option: see :func:`choices_of`."""
    if stated is None or isinstance(stated, str):
        return stated or None
    return ",".join(f"{name}={choice}" for name, choice in stated.items()) or None


def kinds_of_outputs(graph: Graph, choice: str | None) -> dict[str, str]:
    """What every output of a graph is taken for, by its name (:func:`kind_of_outputs`)."""
    choices = choices_of(choice, [output.name for output in graph.outputs])
    return {
        output.name: kind_of_outputs(
            graph.shape_of(output.source), output.tail, choices[output.name]
        )
        for output in graph.outputs
    }


def kinds_by_source(graph: Graph, kinds: Mapping[str, str]) -> dict[str, str]:
    """What the values of every output layer are taken for; values win over what may be clipped."""
    found: dict[str, str] = {}
    for output in graph.outputs:
        kind = kinds[output.name]
        if found.get(output.source) != VALUES:
            found[output.source] = kind
    return found


def with_kinds(results: Results, kinds: Mapping[str, str]) -> Results:
    """Results that say what their outputs were taken for."""
    outputs = tuple(replace(output, kind=kinds[output.name]) for output in results.outputs)
    return replace(results, outputs=outputs)


def describe_outputs(outputs: Sequence[tuple[str, str]]) -> str:
    """What outputs (name, kind) were taken for, in words."""
    if [name for name, _ in outputs] == [OUTPUT]:
        return DESCRIPTIONS[outputs[0][1]]
    names: dict[str, list[str]] = {}
    for name, kind in outputs:
        names.setdefault(kind, []).append(name)
    return "; ".join(f"{', '.join(names[kind])} - {DESCRIPTIONS[kind]}" for kind in names)
