# SPDX-License-Identifier: Apache-2.0
"""The quantized network as a torch module, which golden and hardware are compared with."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from stemcore.golden.network.network import INPUT
from stemcore.golden.network.taps import tap_bounds

from ..errors import QuantizeError
from ..frontend.ops.operator import Shape
from ..frontend.ops.tap_convolution import tap_convolution
from .quantized import (
    QuantizedBranch,
    QuantizedLayer,
    QuantizedNetwork,
    load_quantized,
    save_quantized,
)

EXACT_FLOAT32 = 1 << 24  # every integer of smaller magnitude is exact in float32


def batch_of(shape: Shape) -> str:
    """The shape of a batch of images of shape (C, H, W), for messages."""
    return f"(N, {shape[0]}, {shape[1]}, {shape[2]})"


class QuantizedModel(torch.nn.Module):
    """The quantized network evaluated by torch, with every integer visible.

    Convolutions run in float32 where the largest possible sum stays below 2**24, elsewhere in
    float64; both are then exact in any order of addition. Rescaling runs in float64.
    """

    def __init__(self, network: QuantizedNetwork) -> None:
        super().__init__()
        self.network = network
        self._limits = {INPUT: network.input_limits[1]}
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
        """Name of the layer that is the output; of several the first one's."""
        return self.network.output_layers[0]

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
                f"must have the shape {batch_of(self.network.input_shape)}, has {tuple(x.shape)}",
            )
        integers = x.to(torch.int32)
        if x.is_floating_point() and not torch.equal(integers.to(x.dtype), x):
            raise QuantizeError(
                "input", "must hold integers", "pass images as the hardware gets them"
            )
        bottom, top = self.network.input_limits
        low, high = int(integers.min()), int(integers.max())
        if low < bottom or high > top:
            raise QuantizeError(
                "input", f"must lie in {bottom}..{top}, got {low}..{high}", "clip it"
            )
        return integers

    def _accumulate(
        self, i: int, layer: QuantizedLayer, values: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for j, branch in enumerate(layer.branches):
            source = values[branch.source]
            if branch.channels is not None:
                source = source[:, slice(*branch.channels)]
            sums = self._convolve(branch, getattr(self, f"weight_{i}_{j}"), source)
            total = total + sums.to(torch.float64) * 2.0**branch.shift
        return total

    def _convolve(
        self, branch: QuantizedBranch, weight: torch.Tensor, x: torch.Tensor
    ) -> torch.Tensor:
        top = self._limits[branch.source]
        weights = branch.weight.astype(np.int64)
        bound = int(tap_bounds(weights, branch.rows, branch.columns, -top, top)[1].max())
        # Reduced-precision matrix units would not be exact at any bound.
        is_plain = x.device.type == "cpu" and torch.get_float32_matmul_precision() == "highest"
        dtype = torch.float32 if bound < EXACT_FLOAT32 and is_plain else torch.float64
        if branch.taps is not None:
            return tap_convolution(x.to(dtype), weight.to(dtype), *branch.taps, branch.groups)
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
            q = layer.pool.run([q])
        return q.to(torch.int32)

    def save(self, path: Path | str) -> None:
        """Write the network as one archive of arrays and JSON."""
        save_quantized(self.network, path)

    @classmethod
    def load(cls, path: Path | str) -> "QuantizedModel":
        """Inverse of :meth:`save`."""
        return cls(load_quantized(path))
