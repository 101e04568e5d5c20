# SPDX-License-Identifier: Apache-2.0
"""Bits of all layers, or of each: what users write, and what it means for one layer.

A number is for all layers. A mapping from layer names has a number for each; the key ``*`` is for
all others, which otherwise have 8. As text: ``4``, or ``8,fc=4``, or ``fc=4``.
"""

import re
from collections.abc import Collection, Mapping

from stemcore.golden.spec.widths import ACTIVATION_WIDTH, WEIGHT_WIDTH
from stemcore.nearest import did_you_mean

from ..errors import QuantizeError
from ..frontend.graph import Graph
from ..frontend.passes import form_layers

OTHERS = "*"
DEFAULT_BITS = LARGEST = min(ACTIVATION_WIDTH, WEIGHT_WIDTH)
SMALLEST = 2

LayerBits = int | Mapping[str, int]


def parse_bits(text: str | LayerBits, what: str) -> LayerBits:
    """What ``text`` says; ``what`` names the option in ``QuantizeError``. Numbers stay."""
    if not isinstance(text, str):
        return text
    found: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = (side.strip() for side in part.rpartition("="))
        key = name if equals else OTHERS
        if not re.fullmatch(r"-?[0-9]+", number) or (equals and not name):
            raise QuantizeError(
                what,
                f"must be a number, or layers with theirs such as 8,fc=4, got {text!r}",
                f"choose {SMALLEST} to {LARGEST}",
            )
        if key in found:
            twice = "all other layers" if key == OTHERS else repr(key)
            raise QuantizeError(what, f"must say once what {twice} have, got {text!r}")
        found[key] = int(number)
    for key, value in found.items():
        _check_value(what, key, value)
    return found[OTHERS] if set(found) == {OTHERS} else found


def bits_of(choice: LayerBits, name: str) -> int:
    """Bits of the layer called ``name``."""
    if not isinstance(choice, Mapping):
        return choice
    return choice.get(name, choice.get(OTHERS, DEFAULT_BITS))


def most_bits(choice: LayerBits) -> int:
    """The most bits that a layer may have."""
    if not isinstance(choice, Mapping):
        return choice
    return max({OTHERS: DEFAULT_BITS, **choice}.values())


def bits_in_words(choice: LayerBits) -> str:
    """As :func:`parse_bits` reads it."""
    if not isinstance(choice, Mapping):
        return str(choice)
    others = [str(choice[OTHERS])] if OTHERS in choice else []
    return ",".join([*others, *(f"{name}={n}" for name, n in choice.items() if name != OTHERS)])


def check_layer_bits(graph: Graph, bits: LayerBits, weight_bits: LayerBits) -> None:
    """``QuantizeError`` for numbers that no layer can have, and for names that are no layers.

    graph : captured, and compatible
    """
    by_name = isinstance(bits, Mapping) or isinstance(weight_bits, Mapping)
    names = [node.name for node in form_layers(graph).nodes] if by_name else []
    check_bits("bits", bits, names)
    check_bits("weight_bits", weight_bits, names)


def check_bits(what: str, choice: LayerBits, names: Collection[str]) -> None:
    """As :func:`check_layer_bits`, of the layers called ``names``."""
    by_name = choice if isinstance(choice, Mapping) else {OTHERS: choice}
    for name, value in by_name.items():
        _check_value(what, name, value)
    if unknown := sorted(set(by_name) - {OTHERS, *names}):
        raise QuantizeError(
            what,
            f"names must be layers, got {', '.join(map(repr, unknown))}"
            + did_you_mean(unknown, names),
            f"the layers are {', '.join(names)}",
        )


def _check_value(what: str, name: str, value: object) -> None:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if not is_integer or value not in range(SMALLEST, LARGEST + 1):
        raise QuantizeError(
            "all layers" if name == OTHERS else name,
            f"{what} must be {SMALLEST} to {LARGEST}, got {value!r}",
        )
