# SPDX-License-Identifier: Apache-2.0
"""What the values of the output layer are, which decides how its scale is chosen.

``classes``  scores of classes that exclude each other: the largest one is the answer. The scale
             loses the fewest largest ones, and may clip.
``values``   numbers of their own, such as coordinates or an angle: the scale clips nothing that
             calibration has shown.
``maps``     values at many positions, of which nobody said more: the scale is chosen as in all
             other layers.
``given``    of a model that came quantized: the scale is its own.
"""

from collections.abc import Sequence

from stemcore.golden.network.tail import TailStep

from ..errors import QuantizeError
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
