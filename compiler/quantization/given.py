# SPDX-License-Identifier: Apache-2.0
"""Integers of a model that is quantized already: its scales and weights are taken as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from stemcore.golden.network.network import INPUT
from stemcore.golden.spec.widths import WEIGHT_WIDTH

from ..errors import QuantizeError
from ..frontend.graph import Graph, Node
from ..frontend.ops.fake_quantize import REQUANTIZE, FakeQuantize
from ..frontend.ops.layer import AVERAGE, Layer
from .bias import INT32
from .formats import LayerFormat, Source
from .given_terms import Term, align_exact, align_free, make_terms, weight_step
from .quantize_layer import finish_layer, quantize_layer
from .quantized import EXACT, GENERAL, QuantizedLayer


def given_profile(graph: Graph, input_scale: float) -> str:
    """``exact`` where every scale of a graph of layers is a power of two, else ``general``."""
    scales = [np.array([input_scale])]
    for node in graph.nodes:
        assert isinstance(node.op, Layer)
        roundings = [one for one in node.op.function if isinstance(one, FakeQuantize)]
        for rounding in (node.op.rounding, *roundings):
            if rounding is not None:
                scales.append(np.array([rounding.scale]))
        for branch in node.op.branches:
            if branch.kind != AVERAGE:
                scales.append(weight_step(node.name, branch))
    is_exact = all((np.frexp(one)[0] == 0.5).all() for one in scales)
    return EXACT if is_exact else GENERAL


def inherit_roundings(graph: Graph) -> Graph:
    """Layers that only pass integers of one scale on, such as copies, are on that scale too."""
    known: dict[str, FakeQuantize | None] = {INPUT: None}
    nodes = []
    for node in graph.nodes:
        op = node.op
        assert isinstance(op, Layer)
        sources = {known[branch.source] for branch in op.branches}
        if op.rounding is None and len(sources) == 1 and _only_passes_on(op):
            node = replace(node, op=replace(op, rounding=sources.pop()))
        assert isinstance(node.op, Layer)
        known[node.name] = node.op.rounding
        nodes.append(node)
    return graph.with_nodes(nodes)


def _only_passes_on(layer: Layer) -> bool:
    """Whether each value is one of a source's, or zero."""
    total = sum(np.abs(branch.weight).sum(axis=(1, 2, 3)) for branch in layer.branches)
    is_plain = all(np.isin(branch.weight, (0, 1)).all() for branch in layer.branches)
    passes_one = bool((np.asarray(total) <= 1).all()) and not layer.bias.any()
    return is_plain and passes_one and not layer.function


def given_format(
    node: Node, profile: str, acc_width: int, real: FakeQuantize | None
) -> tuple[FakeQuantize, LayerFormat]:
    """The integers of a layer's output, and its number formats.

    real : of an output layer, where the model leaves its values real.
    """
    layer = node.op
    assert isinstance(layer, Layer)
    rounding = layer.rounding or real
    assert rounding is not None, f"{node.name}: its values are real, and no output"
    if layer.clamp is not None:  # what is rectified needs no sign, whatever the model keeps it in
        rounding = replace(rounding, low=0)
    return rounding, LayerFormat(profile, rounding.bits, WEIGHT_WIDTH, True, acc_width, INT32)


def given_layer(
    node: Node,
    sources: Mapping[str, Source],
    profile: str,
    acc_width: int,
    real: FakeQuantize | None,
) -> QuantizedLayer:
    """The layer with the integers and scales that its model has.

    real : format of an output layer, where the model leaves its values real.

    Raises ``QuantizeError`` for values or weights that are not quantized, and for scales that the
    accumulator cannot bring together.
    """
    layer = node.op
    assert isinstance(layer, Layer)
    rounding, layer_format = given_format(node, profile, acc_width, real)
    if layer.branches[0].kind == AVERAGE:
        made = quantize_layer(node, sources, rounding.scale, rounding.is_signed, layer_format)
    else:
        terms = make_terms(node.name, layer, sources)
        align = align_exact if layer_format.is_exact else align_free
        aligned = align(terms, rounding.scale, acc_width)
        if aligned is None:
            raise QuantizeError(node.name, *_explain_units(terms, rounding.scale))
        node = replace(node, op=replace(layer, branches=aligned.branches))
        made = finish_layer(
            node,
            aligned.weights,
            rounding.scale,
            aligned.alignment,
            rounding.is_signed,
            layer_format,
        )
    if made.scale != rounding.scale:
        raise QuantizeError(
            node.name,
            f"its output must have steps of at least {made.scale:g} beside those of its sources, "
            f"has the scale {rounding.scale:g}",
            REQUANTIZE,
        )
    return replace(made, top=min(made.top, rounding.high))


def _explain_units(terms: Sequence[Term], scale: float) -> tuple[str, str]:
    """Why connections do not meet in one accumulator, and what to do."""
    units = ", ".join(
        f"{term.branch.source} {term.unit.min():g}..{term.unit.max():g}" for term in terms
    )
    problem = (
        "the products of its connections must meet in one accumulator whose unit is at most the "
        f"output's, {scale:g}; they are worth {units}"
    )
    return problem, "quantize the results of all connections but one before they are added"
