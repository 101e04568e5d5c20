# SPDX-License-Identifier: Apache-2.0
"""From a captured graph to integers, with scales that fit calibration images."""

import math
from collections.abc import Iterator, Mapping, Sequence
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
from ..frontend.run_graph import run_graph
from .formats import LayerFormat, Source, choose_formats, find_signs, fixed_scale
from .given import is_quantized
from .outputs import CLASSES, VALUES, kind_of_outputs
from .quantize_function import SAMPLES, Index, OutputCode, choose_index
from .quantize_given import quantize_given
from .quantize_layer import quantize_function, quantize_layer
from .quantized import EXACT, PAPER, QuantizedNetwork
from .quantized_model import QuantizedModel, batch_of
from .scales import scale_candidates

BATCH = 64  # images at a time


def quantize(
    graph: Graph,
    calibration: NDArray[Any],
    *,
    profile: str = EXACT,
    bits: int | Mapping[str, int] = 8,
    weight_bits: int | Mapping[str, int] = 8,
    per_channel: bool | None = None,
    acc_width: int = ChipParams.acc_width,
    bias: str | None = None,
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
        2 to 8, for all layers or by layer name (others: 8). ``bits`` is also the number of time
        steps of the layer's spike trains.
    per_channel : bool, optional
        Whether every output channel has a weight scale of its own; by default in all profiles but
        ``paper``.
    acc_width : int
        Accumulator bits of the chip. Channels whose sums could exceed them get coarser weights, so
        that ``prove_ranges`` succeeds.
    bias : str, optional
        One of ``stemcore.compiler.quantization.bias.BIAS_FORMATS``; by default ``int32``, and
        ``output`` in the paper's profile. ``QuantizedLayer.bias_format`` says what became of it.
    input_scale, input_signed, input_factors
        Of the input: see :class:`stemcore.compiler.input_map.InputMap`. Factors, one or one a
        channel, go into the weights that read the input; none: 1.
    outputs : str, optional
        What the output's values are, for the choice of their scale: see
        :func:`stemcore.compiler.quantization.outputs.kind_of_outputs`.
    """
    check_compatible(graph)
    source = Source(input_scale, limits(input_bits, input_signed), input_bits)
    images = _check_images(calibration, graph, source)
    if is_quantized(graph):
        _refuse_choices(profile, bits, weight_bits, per_channel, bias)
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
    kind = kind_of_outputs(graph.shape_of(graph.output), graph.tail, outputs)
    formats = choose_formats(graph, profile, bits, weight_bits, per_channel, acc_width, bias)
    largest = _largest(graph, images, input_scale)
    # Candidate scales depend on signs, which follow from the graph alone.
    signs = find_signs(graph, source)
    wanted = _best_scales(graph, images, input_scale, largest, signs, formats, kind)
    indices = _best_indices(graph, images, input_scale, wanted, signs, formats)
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
        kind,
    )
    return QuantizedModel(network)


def _refuse_choices(
    profile: str,
    bits: int | Mapping[str, int],
    weight_bits: int | Mapping[str, int],
    per_channel: bool | None,
    bias: str | None,
) -> None:
    """Raises for what a model that is quantized already has decided for itself."""
    chosen = {
        "bits": bits != 8,
        "weight_bits": weight_bits != 8,
        "per_channel": per_channel is not None,
        "bias": bias is not None,
        "profile": profile == PAPER,
    }
    for name, is_chosen in chosen.items():
        if is_chosen:
            raise QuantizeError(
                name,
                "a model that is quantized already has its own scales, bits and bias, which are "
                "taken as they are",
                f"leave {name} out, or compile the float model",
            )


def _check_images(calibration: NDArray[Any], graph: Graph, source: Source) -> torch.Tensor:
    images = np.asarray(calibration)
    if not np.issubdtype(images.dtype, np.integer):
        raise QuantizeError("calibration", f"must be integers, got {images.dtype}")
    if images.ndim != 4 or images.shape[1:] != graph.input_shape or not len(images):
        raise QuantizeError(
            "calibration", f"must have the shape {batch_of(graph.input_shape)}, has {images.shape}"
        )
    low, high = source.limits
    if images.min() < low or images.max() > high:
        raise QuantizeError(
            "calibration",
            f"must lie in {low}..{high}, has {images.min()}..{images.max()}",
            "clip the images as for inference",
        )
    return torch.from_numpy(images.astype(np.float32))


def _batches(
    graph: Graph, images: torch.Tensor, input_scale: float
) -> Iterator[dict[str, torch.Tensor]]:
    """Real values of all layers, batch by batch."""
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            yield run_graph(graph, images[start : start + BATCH] * input_scale)


def _largest(graph: Graph, images: torch.Tensor, input_scale: float) -> dict[str, float]:
    """Largest magnitude of every layer."""
    largest = {node.name: 0.0 for node in graph.nodes}
    for values in _batches(graph, images, input_scale):
        for name in largest:
            largest[name] = max(largest[name], float(values[name].abs().max()))
    return largest


def _best_scales(
    graph: Graph,
    images: torch.Tensor,
    input_scale: float,
    largest: Mapping[str, float],
    signs: Mapping[str, bool],
    formats: Mapping[str, LayerFormat],
    outputs: str,
) -> dict[str, float]:
    """Per layer the candidate scale with the least squared error; of ``outputs`` that are classes
    the one with the fewest lost, of values the widest."""
    tops = {name: limits(formats[name].bits, signs[name])[1] for name in signs}
    candidates = {
        name: scale_candidates(largest[name], tops[name], formats[name].is_exact)[
            : 1 if formats[name].is_widest or (name == graph.output and outputs == VALUES) else None
        ]
        for name in tops
    }
    errors = {name: np.zeros(len(scales)) for name, scales in candidates.items()}
    for values in _batches(graph, images, input_scale):
        for name, scales in candidates.items():
            is_logits = name == graph.output and outputs == CLASSES
            low = -tops[name] if signs[name] else 0
            for i, scale in enumerate(scales):
                rounded = torch.round(values[name] / scale).clamp_(low, tops[name])
                measure = _n_lost_classes if is_logits else _squared_error
                errors[name][i] += measure(values[name], rounded, float(scale))
    return {name: float(candidates[name][np.argmin(errors[name])]) for name in candidates}


def _best_indices(
    graph: Graph,
    images: torch.Tensor,
    input_scale: float,
    scales: Mapping[str, float],
    signs: Mapping[str, bool],
    formats: Mapping[str, LayerFormat],
) -> dict[str, Index]:
    """Per layer that ends in a function, the index of its table; from as many sums as suffice."""
    ends = {
        node.name: node for node in graph.nodes if isinstance(node.op, Layer) and node.op.function
    }
    if not ends:
        return {}
    n_batches = -(-len(images) // BATCH)
    seen: dict[str, list[NDArray[np.float64]]] = {name: [] for name in ends}
    for values in _batches(graph, images, input_scale):
        for name, node in ends.items():
            assert isinstance(node.op, Layer)
            sums = node.op.sums([values[source] for source in node.inputs]).flatten()
            step = max(1, len(sums) * n_batches // SAMPLES)
            chosen = [sums[::step], sums.min()[None], sums.max()[None]]
            seen[name].append(torch.cat(chosen).double().numpy())
    found = {}
    for name, node in ends.items():
        assert isinstance(node.op, Layer)
        code = OutputCode(formats[name].bits, signs[name], scales[name])
        found[name] = choose_index(
            node.op.function,
            np.concatenate(seen[name]),
            code,
            is_exact=formats[name].is_exact,
            is_widest=formats[name].is_widest,
        )
    return found


def _squared_error(real: torch.Tensor, rounded: torch.Tensor, scale: float) -> float:
    return float((rounded * scale - real).square_().sum())


def _n_lost_classes(real: torch.Tensor, rounded: torch.Tensor, scale: float) -> float:
    """Images whose largest logit is not the only largest one after rounding.

    The share of the energy that is lost decides between scales that lose equally many.
    """
    logits = rounded.flatten(1)
    chosen = logits.gather(1, real.flatten(1).argmax(1, keepdim=True))
    energy = float(real.square().sum())
    noise = _squared_error(real, rounded, scale) / energy if energy else 0.0
    return float(((logits >= chosen).sum(1) > 1).sum()) + noise * len(real)
