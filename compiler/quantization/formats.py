# SPDX-License-Identifier: Apache-2.0
"""Number formats of layers: what the user chooses, and the sign, which follows from the graph."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from stemcore.golden.network.network import INPUT

from ..errors import QuantizeError
from ..frontend.graph import Graph
from ..frontend.ops.layer import IDENTITY, Layer
from .bias import BIAS_FORMATS, DEFAULT_FORMAT
from .layer_bits import LayerBits, bits_of, check_bits
from .quantized import EXACT, PAPER, PROFILES


@dataclass(frozen=True)
class Source:
    """A population that connections read: real value of one unit, limits of its values, bits."""

    scale: float
    limits: tuple[int, int]
    bits: int


@dataclass(frozen=True)
class LayerFormat:
    """What the user may choose for a layer: see :func:`stemcore.compiler.quantization.quantize`."""

    profile: str
    bits: int
    weight_bits: int
    per_channel: bool
    acc_width: int
    bias: str

    @property
    def is_exact(self) -> bool:
        """Whether all scales are powers of two."""
        return self.profile == EXACT

    @property
    def is_widest(self) -> bool:
        """Whether scales of weights follow from the largest alone (paper eq. 3), clipping none."""
        return self.profile == PAPER


def is_unsigned(layer: Layer, sources: Mapping[str, Source]) -> bool:
    """Whether no value below zero can leave the layer."""
    positive = all(
        sources[b.source].limits[0] >= 0 and (b.weight >= 0).all() for b in layer.branches
    )
    lowest = 0.0 if positive and bool((layer.bias >= 0).all()) else -math.inf
    for function in layer.function if layer.clamp is None else (layer.clamp,):
        lowest = function.lowest(lowest)
    return lowest >= 0


def fixed_scale(layer: Layer, sources: Mapping[str, Source], top: int) -> float | None:
    """The scale of a layer that only passes values on, where they fit; None elsewhere.

    Of one that ends in a function it is the scale of the sums.
    """
    if len(layer.branches) == 1 and layer.branches[0].kind == IDENTITY:
        source = sources[layer.branches[0].source]
        if source.limits[1] <= top:
            return source.scale
    return None


def choose_formats(
    graph: Graph,
    profile: str,
    bits: LayerBits,
    weight_bits: LayerBits,
    per_channel: bool | None,
    acc_width: int,
    bias: str | None,
) -> dict[str, LayerFormat]:
    """The format of every layer; ``QuantizeError`` for choices that do not exist."""
    if profile not in PROFILES:
        raise QuantizeError("profile", f"must be one of {', '.join(PROFILES)}, got {profile!r}")
    bias = DEFAULT_FORMAT[profile] if bias is None else bias
    if bias not in BIAS_FORMATS:
        raise QuantizeError("bias", f"must be one of {', '.join(BIAS_FORMATS)}, got {bias!r}")
    by_channel = profile != PAPER if per_channel is None else per_channel
    names = [node.name for node in graph.nodes]
    check_bits("bits", bits, names)
    check_bits("weight_bits", weight_bits, names)
    return {
        name: LayerFormat(
            profile, bits_of(bits, name), bits_of(weight_bits, name), by_channel, acc_width, bias
        )
        for name in names
    }


def find_signs(graph: Graph, source: Source) -> dict[str, bool]:
    """Which layers need a sign."""
    sources = {INPUT: source}
    signs = {}
    for node in graph.nodes:
        assert isinstance(node.op, Layer)
        signs[node.name] = not is_unsigned(node.op, sources)
        sources[node.name] = Source(1.0, (-signs[node.name], 1), 8)
    return signs
