# SPDX-License-Identifier: Apache-2.0
"""Scales of activations, and indices of activation tables, from values of calibration images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from stemcore.golden.spec.integers import limits

from ..frontend.graph import Graph, Node
from ..frontend.ops.layer import Layer
from ..frontend.ops.operator import FloatArray
from ..frontend.run_graph import run_graph
from .calibration import PERCENTILE, Method, percentiles
from .formats import LayerFormat
from .outputs import CLASSES, VALUES
from .quantize_function import SAMPLES, Index, OutputCode, choose_index
from .scales import scale_candidates

BATCH = 64  # images at a time


@dataclass(frozen=True)
class Ranges:
    """What layers reach in calibration, by layer name.

    Attributes
    ----------
    method : Method
        Of the calibration.
    largest, limit : mapping
        The largest magnitude of a layer's values, and the one that the method's scale has to hold.
    sums : mapping
        The same limit of the sums that a layer's function is applied to; none but percentiles have
        one.
    """

    method: Method
    largest: Mapping[str, float]
    limit: Mapping[str, float]
    sums: Mapping[str, float]


def find_ranges(graph: Graph, images: torch.Tensor, input_scale: float, method: Method) -> Ranges:
    """Ranges of a graph of layers.

    images : float tensor (N, C, H, W) of integers, worth ``input_scale`` each
    """
    largest = {node.name: 0.0 for node in graph.nodes}
    for values in _batches(graph, images, input_scale):
        for name in largest:
            largest[name] = max(largest[name], float(values[name].abs().max()))
    if method.kind != PERCENTILE:
        return Ranges(method, largest, largest, {})

    def batches() -> Iterator[dict[tuple[str, bool], NDArray[np.float32]]]:
        for values in _batches(graph, images, input_scale):
            found = {(name, False): values[name] for name in largest}
            found |= {(n, True): _sums_of(node, values) for n, node in _functions(graph).items()}
            yield {key: tensor.numpy() for key, tensor in found.items()}

    found = percentiles(batches, method.percentile)
    # Of a layer that is silent but for a few values the percentile is 0, which is no range.
    limit = {name: found[name, False] or largest[name] for name in largest}
    return Ranges(method, largest, limit, {n: v for (n, is_sum), v in found.items() if is_sum})


def _functions(graph: Graph) -> dict[str, Node]:
    """Layers that end in a function."""
    return {n.name: n for n in graph.nodes if isinstance(n.op, Layer) and n.op.function}


def _sums_of(node: Node, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """What a layer's function is applied to."""
    assert isinstance(node.op, Layer)
    return node.op.sums([values[source] for source in node.inputs])


def _batches(
    graph: Graph, images: torch.Tensor, input_scale: float
) -> Iterator[dict[str, torch.Tensor]]:
    """Real values of all layers, batch by batch."""
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            yield run_graph(graph, images[start : start + BATCH] * input_scale)


def best_scales(
    graph: Graph,
    images: torch.Tensor,
    input_scale: float,
    ranges: Ranges,
    signs: Mapping[str, bool],
    formats: Mapping[str, LayerFormat],
    outputs: Mapping[str, str],
) -> dict[str, float]:
    """Per layer the candidate scale with the least squared error, or the one that the method says.

    Of ``outputs``, by layer, that are classes the one with the fewest lost, of values the widest.
    """
    tops = {name: limits(formats[name].bits, signs[name])[1] for name in signs}

    def tried(name: str) -> FloatArray:
        is_given = outputs.get(name) in (CLASSES, VALUES)
        reach = (ranges.largest if is_given else ranges.limit)[name]
        scales = scale_candidates(reach, tops[name], formats[name].is_exact)
        if is_given:
            is_widest = outputs.get(name) == VALUES or formats[name].is_widest
        else:
            is_widest = ranges.method.is_widest
        return scales[:1] if is_widest else scales

    candidates = {name: tried(name) for name in tops}
    errors = {name: np.zeros(len(scales)) for name, scales in candidates.items()}
    for values in _batches(graph, images, input_scale):
        for name, scales in candidates.items():
            is_logits = outputs.get(name) == CLASSES
            low = -tops[name] if signs[name] else 0
            for i, scale in enumerate(scales):
                rounded = torch.round(values[name] / scale).clamp_(low, tops[name])
                measure = _n_lost_classes if is_logits else _squared_error
                errors[name][i] += measure(values[name], rounded, float(scale))
    return {name: float(candidates[name][np.argmin(errors[name])]) for name in candidates}


def best_indices(
    graph: Graph,
    images: torch.Tensor,
    input_scale: float,
    ranges: Ranges,
    scales: Mapping[str, float],
    signs: Mapping[str, bool],
    formats: Mapping[str, LayerFormat],
) -> dict[str, Index]:
    """Per layer that ends in a function, the index of its table; from as many sums as suffice."""
    ends = _functions(graph)
    if not ends:
        return {}
    n_batches = -(-len(images) // BATCH)
    seen: dict[str, list[NDArray[np.float64]]] = {name: [] for name in ends}
    for values in _batches(graph, images, input_scale):
        for name, node in ends.items():
            sums = _sums_of(node, values).flatten()
            step = max(1, len(sums) * n_batches // SAMPLES)
            chosen = [sums[::step], sums.min()[None], sums.max()[None]]
            seen[name].append(torch.cat(chosen).double().numpy())
    found = {}
    for name, node in ends.items():
        assert isinstance(node.op, Layer)
        code = OutputCode(formats[name].bits, signs[name], scales[name])
        found[name] = choose_index(
            node.op.function,
            _within(np.concatenate(seen[name]), ranges.sums.get(name, 0.0)),
            code,
            is_exact=formats[name].is_exact,
            is_widest=ranges.method.is_widest,
        )
    return found


def _within(sums: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Sums clipped to a limit, if there is one."""
    return np.clip(sums, -limit, limit) if limit else sums


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
