# SPDX-License-Identifier: Apache-2.0
"""Calibration on real images, and the quantized network as a torch module."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from stemcore.golden.arithmetic.bounds import sum_bounds
from stemcore.golden.network.network import INPUT
from stemcore.golden.spec.integers import limits
from stemcore.golden.spec.params import ChipParams

from ..errors import QuantizeError
from ..frontend.compatibility import check_compatible
from ..frontend.graph import Graph
from ..frontend.ops.layer import Layer
from ..frontend.ops.operator import Shape
from ..frontend.passes import form_layers
from ..frontend.run_graph import run_graph
from .formats import LayerFormat, Source, choose_formats, find_signs, fixed_scale
from .quantize_layer import quantize_layer
from .quantized import (
    EXACT,
    QuantizedBranch,
    QuantizedLayer,
    QuantizedNetwork,
    load_quantized,
    save_quantized,
)
from .scales import scale_candidates

BATCH = 64
EXACT_FLOAT32 = 1 << 24


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
) -> "QuantizedModel":
    """Integers for a captured graph, with activation scales that fit the calibration images.

    Parameters
    ----------
    graph : Graph
        From :func:`stemcore.compiler.frontend.capture.capture`.
    calibration : integer array (N, C, H, W)
        Network inputs as the hardware gets them; one unit is worth ``input_scale``.
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
    """
    check_compatible(graph)
    graph = form_layers(graph)
    if profile == EXACT and math.frexp(input_scale)[0] != 0.5:
        raise QuantizeError(
            "input_scale", f"must be a power of two in the exact profile, got {input_scale}"
        )
    forms = choose_formats(graph, profile, bits, weight_bits, per_channel, acc_width, bias)
    source = Source(input_scale, limits(input_bits, True), input_bits)
    images = _check_images(calibration, graph, source)
    largest = _largest(graph, images, input_scale)
    # Pass 2 needs signs, which follow from the graph alone.
    signs = find_signs(graph, source)
    wishes = _best_scales(graph, images, input_scale, largest, signs, forms)
    sources, layers = {INPUT: source}, []
    for node in graph.nodes:
        assert isinstance(node.op, Layer)
        form, is_signed = forms[node.name], signs[node.name]
        scale = fixed_scale(node.op, sources, limits(form.bits, is_signed)[1]) or wishes[node.name]
        layer = quantize_layer(node, sources, scale, is_signed, form)
        sources[node.name] = Source(layer.scale, layer.limits, layer.bits)
        layers.append(layer)
    network = QuantizedNetwork(
        graph.name, profile, graph.input_shape, input_bits, input_scale, tuple(layers)
    )
    return QuantizedModel(network)


def _check_images(calibration: NDArray[Any], graph: Graph, source: Source) -> torch.Tensor:
    images = np.asarray(calibration)
    if not np.issubdtype(images.dtype, np.integer):
        raise QuantizeError("calibration", f"must be integers, got {images.dtype}")
    if images.ndim != 4 or images.shape[1:] != graph.input_shape or not len(images):
        raise QuantizeError(
            "calibration", f"must have the shape {_batch_of(graph.input_shape)}, has {images.shape}"
        )
    low, high = source.limits
    if images.min() < low or images.max() > high:
        raise QuantizeError(
            "calibration",
            f"must lie in {low}..{high}, has {images.min()}..{images.max()}",
            "clip the images as for inference",
        )
    return torch.from_numpy(images.astype(np.float32))


def _batch_of(shape: Shape) -> str:
    return f"(N, {shape[0]}, {shape[1]}, {shape[2]})"


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
    forms: Mapping[str, LayerFormat],
) -> dict[str, float]:
    """Per layer the candidate scale with the least squared error; for logits, with the fewest
    classes lost."""
    tops = {name: limits(forms[name].bits, signs[name])[1] for name in signs}
    candidates = {
        name: scale_candidates(largest[name], tops[name], forms[name].is_exact)[
            : 1 if forms[name].is_widest else None
        ]
        for name in tops
    }
    errors = {name: np.zeros(len(scales)) for name, scales in candidates.items()}
    for values in _batches(graph, images, input_scale):
        for name, scales in candidates.items():
            is_logits = name == graph.output and tuple(values[name].shape[2:]) == (1, 1)
            low = -tops[name] if signs[name] else 0
            for i, scale in enumerate(scales):
                rounded = torch.round(values[name] / scale).clamp_(low, tops[name])
                measure = _n_lost_classes if is_logits else _squared_error
                errors[name][i] += measure(values[name], rounded, float(scale))
    return {name: float(candidates[name][np.argmin(errors[name])]) for name in candidates}


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


class QuantizedModel(torch.nn.Module):
    """The quantized network evaluated by torch, with every integer visible.

    Convolutions run in float32 where the largest possible sum stays below 2**24, elsewhere in
    float64; both are then exact in any order of addition. Rescaling runs in float64.
    """

    def __init__(self, network: QuantizedNetwork) -> None:
        super().__init__()
        self.network = network
        self._limits = {INPUT: limits(network.input_bits, True)[1]}
        for i, layer in enumerate(network.layers):
            self._limits[layer.name] = layer.top
            for j, branch in enumerate(layer.branches):
                self.register_buffer(f"weight_{i}_{j}", torch.from_numpy(branch.weight.copy()))
            for key in ("bias", "multiplier", "rescale_shift"):
                self.register_buffer(f"{key}_{i}", torch.from_numpy(getattr(layer, key).copy()))
            table = None if layer.table is None else torch.from_numpy(layer.table.copy())
            self.register_buffer(f"table_{i}", table)

    @property
    def output(self) -> str:
        """Name of the last layer, whose values are the logits."""
        return self.network.layers[-1].name

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Integers (int32) of the input and of every layer after pooling, by name.

        x : integer-valued tensor (N, C, H, W) of any type, within the input's limits.
        """
        return self._run(x, None)

    def accumulator_ranges(self, x: torch.Tensor) -> dict[str, tuple[int, int]]:
        """Smallest and largest accumulator of every layer for these inputs."""
        ranges: dict[str, tuple[int, int]] = {}
        self._run(x, ranges)
        return ranges

    @torch.no_grad()
    def _run(
        self, x: torch.Tensor, ranges: dict[str, tuple[int, int]] | None
    ) -> dict[str, torch.Tensor]:
        values = {INPUT: self._check_input(x)}
        for i, layer in enumerate(self.network.layers):
            z = self._accumulate(i, layer, values)
            if ranges is not None:
                ranges[layer.name] = int(z.min()), int(z.max())
            values[layer.name] = self._finish(i, layer, z)
        return values

    def _check_input(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 4 or tuple(x.shape[1:]) != self.network.input_shape:
            raise QuantizeError(
                "input",
                f"must have the shape {_batch_of(self.network.input_shape)}, has {tuple(x.shape)}",
            )
        integers = x.to(torch.int32)
        if x.is_floating_point() and not torch.equal(integers.to(x.dtype), x):
            raise QuantizeError(
                "input", "must hold integers", "pass images as the hardware gets them"
            )
        top = self._limits[INPUT]
        low, high = int(integers.min()), int(integers.max())
        if low < -top or high > top:
            raise QuantizeError("input", f"must lie in {-top}..{top}, got {low}..{high}", "clip it")
        return integers

    def _accumulate(
        self, i: int, layer: QuantizedLayer, values: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for j, branch in enumerate(layer.branches):
            sums = self._convolve(branch, getattr(self, f"weight_{i}_{j}"), values[branch.source])
            total = total + sums.to(torch.float64) * 2.0**branch.shift
        return total

    def _convolve(
        self, branch: QuantizedBranch, weight: torch.Tensor, x: torch.Tensor
    ) -> torch.Tensor:
        top = self._limits[branch.source]
        bound = int(sum_bounds(branch.weight.astype(np.int64), -top, top)[1].max())
        # Reduced-precision matrix units would not be exact at any bound.
        is_plain = x.device.type == "cpu" and torch.get_float32_matmul_precision() == "highest"
        dtype = torch.float32 if bound < EXACT_FLOAT32 and is_plain else torch.float64
        if branch.padding == (0, 0) and branch.groups == 1 and weight.shape[1:] == x.shape[1:]:
            sums = F.linear(x.flatten(1).to(dtype), weight.flatten(1).to(dtype))
            return sums[:, :, None, None]
        # NNPACK's Winograd transform multiplies by fractions.
        with torch.backends.nnpack.flags(enabled=False):
            return F.conv2d(
                x.to(dtype), weight.to(dtype), None, branch.stride, branch.padding, 1, branch.groups
            )

    def _finish(self, i: int, layer: QuantizedLayer, z: torch.Tensor) -> torch.Tensor:
        multiplier, bias, shift = (
            getattr(self, f"{key}_{i}").to(torch.float64)[:, None, None]
            for key in ("multiplier", "bias", "rescale_shift")
        )
        product = multiplier * z + bias * 2.0 ** (8 * layer.bias_shift)
        q = torch.round(product * torch.exp2(-shift)).clamp_(*layer.limits)
        if layer.table is not None:
            index = q.to(torch.int64) & ((1 << layer.bits) - 1)
            q = getattr(self, f"table_{i}")[index].to(torch.float64)
        if layer.pool is not None:
            q = F.max_pool2d(q, layer.pool.kernel, layer.pool.stride, layer.pool.padding)
        return q.to(torch.int32)

    def save(self, path: Path | str) -> None:
        """Write the network as one archive of arrays and JSON."""
        save_quantized(self.network, path)

    @classmethod
    def load(cls, path: Path | str) -> "QuantizedModel":
        """Inverse of :meth:`save`."""
        return cls(load_quantized(path))
