# SPDX-License-Identifier: Apache-2.0
"""A quantized model as it comes: its integers for the hardware, and how far both agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT
from stemcore.golden.spec.integers import limits

from ..errors import QuantizeError
from ..frontend.graph import Graph, Node
from ..frontend.ops.fake_quantize import REQUANTIZE, FakeQuantize
from ..frontend.ops.input_part import ReadInput
from ..frontend.ops.layer import Layer
from ..frontend.passes import form_layers
from ..frontend.passes.input_scale import scale_input
from ..frontend.passes.rounding import drop_input_rounding
from ..frontend.run_graph import run_graph
from .formats import Source
from .given import given_format, given_layer, given_profile, inherit_roundings
from .given_average import given_average, is_average
from .outputs import GIVEN, VALUES, with_kinds
from .quantize_given_function import given_function
from .quantized import EXACT, GENERAL, QuantizedLayer, QuantizedNetwork
from .quantized_model import QuantizedModel
from .scales import power_above

OUTPUT_TOP = limits(8, True)[1]
BATCH = 64  # images at a time


def quantize_given(
    graph: Graph,
    images: torch.Tensor,
    *,
    profile: str,
    acc_width: int,
    input_bits: int,
    input_scale: float,
    input_signed: bool,
    input_factors: Sequence[float],
) -> QuantizedNetwork:
    """The integers of a graph that holds roundings; options as for ``quantize``.

    images : float tensor (N, C, H, W) of the input's integers; they set the scale of the output
    where the model leaves it real, and nothing else.

    The profile becomes ``general`` where a scale is no power of two. Raises ``QuantizeError`` for
    models that are quantized in part, or in a way that the hardware does not compute.
    """
    graph = given_layers(graph, input_scale, limits(input_bits, input_signed), input_factors)
    for node in graph.nodes:
        assert isinstance(node.op, Layer)
        if node.op.rounding is None and node.name not in graph.ends:
            raise QuantizeError(
                node.name,
                "every value of a quantized model must be quantized behind its layer, this one is "
                "not",
                REQUANTIZE,
            )
    if profile != GENERAL:
        profile = given_profile(graph, input_scale)
    real = _output_formats(graph, images, input_scale, profile)
    sources = {INPUT: Source(input_scale, limits(input_bits, input_signed), input_bits)}
    layers: list[QuantizedLayer] = []
    for node in graph.nodes:
        assert isinstance(node.op, Layer)
        make = given_function if node.op.function else given_layer
        output = real.get(node.name)
        if is_average(node.op, sources, output):
            rounding, layer_format = given_format(node, profile, acc_width, output)
            layers += given_average(node, sources, rounding, layer_format)
        else:
            layers.append(make(node, sources, profile, acc_width, output))
        layer = layers[-1]
        sources[node.name] = Source(layer.scale, layer.limits, layer.bits)
    kinds = {output.name: VALUES if output.source in real else GIVEN for output in graph.outputs}
    return QuantizedNetwork(
        graph.name,
        profile,
        graph.input_shape,
        input_bits,
        input_scale,
        tuple(layers),
        input_signed,
        graph.tail,
        kinds[graph.outputs[0].name],
        with_kinds(graph.results, kinds),
    )


def given_layers(
    graph: Graph, scale: float, input_limits: tuple[int, int], factors: Sequence[float]
) -> Graph:
    """A graph of layers, with their roundings, that reads the input's integers."""
    of_channels = np.broadcast_to(scale * np.array(factors or (1.0,)), graph.input_shape[0])
    for source, channels in _input_spans(graph):
        worth = set(of_channels[slice(*channels)].tolist())
        if len(worth) == 1:
            graph = drop_input_rounding(graph, source, worth.pop(), input_limits)
    graph = form_layers(graph)
    return inherit_roundings(scale_input(graph, factors) if factors else graph)


def _input_spans(graph: Graph) -> list[tuple[str, tuple[int, int]]]:
    """Values that are inputs, each with its channels among those of all."""
    several = [(n.name, n.op.channels) for n in graph.nodes if isinstance(n.op, ReadInput)]
    return several or [(INPUT, (0, graph.input_shape[0]))]


def _output_formats(
    graph: Graph, images: torch.Tensor, input_scale: float, profile: str
) -> dict[str, FakeQuantize]:
    """Signed integers of 8 bits that hold the largest value of each output that is left real."""
    real = [node.name for node in graph.nodes if _is_real(node)]
    largest = dict.fromkeys(real, 0.0)
    for start in range(0, len(images) if real else 0, BATCH):
        values = run_graph(graph, images[start : start + BATCH] * input_scale)
        for name in real:
            largest[name] = max(largest[name], float(values[name].abs().max()))
    scales = {name: (largest[name] or 1.0) / OUTPUT_TOP for name in real}
    if profile == EXACT:
        scales = {name: float(power_above(scale)) for name, scale in scales.items()}
    return {name: FakeQuantize(scale, -OUTPUT_TOP, OUTPUT_TOP) for name, scale in scales.items()}


def _is_real(node: Node) -> bool:
    """Whether the values of a layer are left real."""
    assert isinstance(node.op, Layer)
    return node.op.rounding is None


@dataclass(frozen=True)
class Agreement:
    """How a layer's integers compare with those of the float graph of the quantized model.

    Attributes
    ----------
    layer : str
    equal : float
        Share of the values, 0 to 1, that are the same integer.
    largest : int
        Difference, in integers.
    """

    layer: str
    equal: float
    largest: int

    def __str__(self) -> str:
        return f"{self.layer}: {self.equal:.4%} equal, largest difference {self.largest}"


def agreement(
    graph: Graph, network: QuantizedNetwork, integers: NDArray[np.integer], factors: Sequence[float]
) -> tuple[Agreement, ...]:
    """Compares the float graph of a quantized model with its integers, layer by layer.

    graph : as captured; network : what ``quantize`` made of it; integers (N, C, H, W): inputs.
    """
    layers = given_layers(graph, network.input_scale, network.input_limits, factors)
    images = torch.from_numpy(np.ascontiguousarray(integers))
    equal: dict[str, int] = {}
    largest: dict[str, int] = {}
    total: dict[str, int] = {}
    model = QuantizedModel(network)
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        got = model(batch)
        real = run_graph(layers, batch.to(torch.float32) * network.input_scale)
        for name, wanted in _integers(layers, network, real).items():
            difference = (wanted - got[name].to(torch.float64)).abs()
            equal[name] = equal.get(name, 0) + int((difference == 0).sum())
            total[name] = total.get(name, 0) + difference.numel()
            largest[name] = max(largest.get(name, 0), int(difference.max()))
    return tuple(Agreement(name, equal[name] / total[name], largest[name]) for name in equal)


def _integers(
    graph: Graph, network: QuantizedNetwork, real: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Integers that the float graph's values stand for, of all layers that are in both."""
    found = {}
    for layer in network.layers:
        if any(node.name == layer.name for node in graph.nodes):
            found[layer.name] = (real[layer.name].to(torch.float64) / layer.scale).round()
    return found
