# SPDX-License-Identifier: Apache-2.0
"""From a captured graph to integers, with scales that fit calibration images."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT
from stemcore.golden.spec.integers import limits
from stemcore.golden.spec.params import ChipParams

from ..errors import QuantizeError
from ..frontend.compatibility import check_compatible
from ..frontend.graph import Graph
from ..frontend.ops.layer import Layer
from ..frontend.passes import form_layers
from ..frontend.passes.input_scale import scale_input
from .calibration import parse_method
from .formats import Source, choose_formats, find_signs, fixed_scale
from .given_choices import is_quantized, refuse_choices
from .layer_bits import LayerBits
from .outputs import kinds_by_source, kinds_of_outputs, with_kinds
from .quantize_function import Index, OutputCode
from .quantize_given import quantize_given
from .quantize_layer import quantize_function, quantize_layer
from .quantize_ranges import best_indices, best_scales, find_ranges
from .quantized import EXACT, QuantizedNetwork
from .quantized_model import QuantizedModel, batch_of


def quantize(
    graph: Graph,
    calibration: NDArray[Any],
    *,
    profile: str = EXACT,
    bits: LayerBits = 8,
    weight_bits: LayerBits = 8,
    per_channel: bool | None = None,
    acc_width: int = ChipParams.acc_width,
    bias: str | None = None,
    calibration_method: str | None = None,
    input_bits: int = 8,
    input_scale: float = 2.0**-7,
    input_signed: bool = True,
    input_factors: Sequence[float] = (),
    outputs: str | None = None,
) -> QuantizedModel:
    """Integers for a captured graph, with activation scales that fit the calibration images.

    A graph that holds roundings is of a model that is quantized already: its scales and integers
    are taken as they are (:func:`stemcore.compiler.quantization.quantize_given.quantize_given`).

    Parameters
    ----------
    graph : Graph
        From :func:`stemcore.compiler.frontend.capture.capture`.
    calibration : integer array (N, C, H, W)
        Network inputs as the hardware gets them; one unit is worth ``input_scale``, times the
        channel's factor in ``input_factors``.
    profile : str
        ``exact``: every scale a power of two. ``general``: free scales and 16-bit multipliers.
        ``paper``: free scales that follow from the largest values, one for all weights of a layer,
        and the bias at the output's scale.
    bits, weight_bits : int or mapping
        2 to 8, for all layers or by layer name, see
        :mod:`stemcore.compiler.quantization.layer_bits`. ``bits`` is also the number of time steps
        of the layer's spike trains.
    per_channel : bool, optional
        Whether every output channel has a weight scale of its own; by default in all profiles but
        ``paper``.
    acc_width : int
        Accumulator bits of the chip. Channels whose sums could exceed them get coarser weights, so
        that ``prove_ranges`` succeeds.
    bias : str, optional
        One of ``stemcore.compiler.quantization.bias.BIAS_FORMATS``; by default ``int32``, and
        ``output`` in the paper's profile. ``QuantizedLayer.bias_format`` says what became of it.
    calibration_method : str, optional
        How scales of activations follow from the images, see
        :mod:`stemcore.compiler.quantization.calibration`; by default ``mse``, and ``max`` in the
        paper's profile.
    input_scale, input_signed, input_factors
        Of the input: see :class:`stemcore.compiler.input_map.InputMap`. Factors, one or one a
        channel, go into the weights that read the input; none: 1.
    outputs : str, optional
        What the output's values are, for the choice of their scale: see
        :func:`stemcore.compiler.quantization.outputs.choices_of`.
    """
    check_compatible(graph)
    source = Source(input_scale, limits(input_bits, input_signed), input_bits)
    images = _check_images(calibration, graph, source)
    if is_quantized(graph):
        refuse_choices(profile, bits, weight_bits, per_channel, bias, calibration_method)
        network = quantize_given(
            graph,
            images,
            profile=profile,
            acc_width=acc_width,
            input_bits=input_bits,
            input_scale=input_scale,
            input_signed=input_signed,
            input_factors=input_factors,
        )
        return QuantizedModel(network)
    graph = form_layers(graph)
    if input_factors:
        graph = scale_input(graph, input_factors)
    if profile == EXACT and math.frexp(input_scale)[0] != 0.5:
        raise QuantizeError(
            "input_scale", f"must be a power of two in the exact profile, got {input_scale}"
        )
    kinds = kinds_of_outputs(graph, outputs)
    formats = choose_formats(graph, profile, bits, weight_bits, per_channel, acc_width, bias)
    # Candidate scales depend on signs, which follow from the graph alone.
    signs = find_signs(graph, source)
    method = parse_method(calibration_method, profile)
    ranges = find_ranges(graph, images, input_scale, method)
    by_layer = kinds_by_source(graph, kinds)
    wanted = best_scales(graph, images, input_scale, ranges, signs, formats, by_layer)
    indices = best_indices(graph, images, input_scale, ranges, wanted, signs, formats)
    sources, layers = {INPUT: source}, []
    for node in graph.nodes:
        assert isinstance(node.op, Layer)
        layer_format, is_signed = formats[node.name], signs[node.name]
        fixed = fixed_scale(node.op, sources, limits(layer_format.bits, is_signed)[1])
        if node.op.function:
            code = OutputCode(layer_format.bits, is_signed, wanted[node.name])
            index = Index(fixed, 0) if fixed and is_signed else indices[node.name]
            layer = quantize_function(node, sources, index, code, layer_format)
        else:
            scale = fixed or wanted[node.name]
            layer = quantize_layer(node, sources, scale, is_signed, layer_format)
        sources[node.name] = Source(layer.scale, layer.limits, layer.bits)
        layers.append(layer)
    network = QuantizedNetwork(
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
    return QuantizedModel(network)


def _check_images(calibration: NDArray[Any], graph: Graph, source: Source) -> torch.Tensor:
    images = np.asarray(calibration)
    if not np.issubdtype(images.dtype, np.integer):
        raise QuantizeError("calibration", f"must be integers, got {images.dtype}")
    if images.ndim != 4 or images.shape[1:] != graph.input_shape:
        raise QuantizeError(
            "calibration", f"must have the shape {batch_of(graph.input_shape)}, has {images.shape}"
        )
    if not len(images):
        raise QuantizeError("calibration", "must have one image or more, has none")
    low, high = source.limits
    if images.min() < low or images.max() > high:
        raise QuantizeError(
            "calibration",
            f"must lie in {low}..{high}, has {images.min()}..{images.max()}",
            "clip the images as for inference",
        )
    return torch.from_numpy(images.astype(np.float32))
