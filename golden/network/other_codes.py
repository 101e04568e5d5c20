# SPDX-License-Identifier: Apache-2.0
"""Two other spike codes on the same quantized network, to compare STEM with.

*Direct* (rate) coding: the image enters the first layer as it is, at every one of T time steps; all
hidden neurons integrate and fire, and a spike is worth ``u = 2**bits / T`` units of the activation,
whenever it comes. With P of :func:`stemcore.golden.arithmetic.fixed.requantize`, in units of 1/T:

    v = u T 2**s / 2 at first;  v += T m (sum of w u s[t]) + (b << 8 sb);
    s[t] = v >= u T 2**s;       v -= s[t] u T 2**s

The half at first rounds instead of truncating; max pooling is an OR of spikes; activation tables
have no meaning and are left out. The last layer adds its P up and fires nothing: the mean over the
steps is the answer.

*Position* coding: at most one spike, and its position in the train of T = bits steps tells the
value: the power of two next to it. STEM with the activation table ``nearest_ones(bits, 1)``.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.activation_tables import compose, nearest_ones
from ..arithmetic.fixed import Int64Array
from .convolution import Convolution, FloatArray
from .forward import check_images, fan_out
from .layers import max_pool
from .network import INPUT, Layer, Network


@dataclass(frozen=True)
class DirectRun:
    """Outcome of direct coding.

    outputs : float64 (N, C, H, W), the last layer's mean over the steps, in units of its activation
    spikes : mean spikes per image of every hidden layer, by name
    sops : mean synaptic operations per image of every layer, by name; the first layer has none,
        since what it receives are no spikes
    """

    outputs: NDArray[np.float64]
    spikes: dict[str, float]
    sops: dict[str, float]


class DirectCode:
    """A network in direct coding, made ready to run.

    Parameters
    ----------
    network : Network
        Hidden layers unsigned; a layer that reads the input reads nothing else. ``ValueError``
        otherwise.
    steps : int
        T, a power of two up to ``2**bits`` of every hidden layer.
    """

    def __init__(self, network: Network, steps: int):
        if steps < 1 or steps & (steps - 1):
            raise ValueError(f"steps: must be a power of two, got {steps}")
        self.network, self.steps = network, steps
        self.layers = [_DirectLayer(layer, network, steps) for layer in network.layers]

    def run(self, images: ArrayLike) -> DirectRun:
        """images : integers (N, C, H, W), as for :func:`forward.run_network`."""
        array = check_images(images, self.network.input)
        image = np.ascontiguousarray(array.transpose(0, 2, 3, 1), dtype=np.float32)
        for layer in self.layers:
            layer.start()
        total: FloatArray | float = 0.0
        spikes = {layer.layer.name: 0.0 for layer in self.layers[:-1]}
        sops = {layer.layer.name: 0.0 for layer in self.layers}
        for _ in range(self.steps):
            values: dict[str, FloatArray] = {INPUT: image}
            for layer in self.layers:
                name = layer.layer.name
                sops[name] += layer.count(values)
                drive = layer.drive(values)
                if layer is self.layers[-1]:
                    total = total + drive
                else:
                    values[name] = layer.fire(drive)
                    spikes[name] += float(values[name].sum())
        assert isinstance(total, np.ndarray)
        outputs = np.ldexp(total, -self.network.output.shift).transpose(0, 3, 1, 2) / self.steps
        n = len(array)
        return DirectRun(
            outputs, {k: v / n for k, v in spikes.items()}, {k: v / n for k, v in sops.items()}
        )


class _DirectLayer:
    def __init__(self, layer: Layer, network: Network, steps: int):
        self.layer, self.steps = layer, steps
        sources = [network.population(c.source) for c in layer.connections]
        is_last = layer is network.output
        if layer.is_signed and not is_last:
            raise ValueError(f"{layer.name}: direct coding has no negative spikes; use ReLU")
        if not is_last and steps > 1 << layer.bits:
            raise ValueError(
                f"{layer.name}: {steps} steps tell more than {layer.bits} bits; use fewer"
            )
        if len(sources) > 1 and any(s.name == INPUT for s in sources):
            raise ValueError(f"{layer.name}: in direct coding the input must not meet spikes")
        ones = np.ones(layer.shape[0])
        self.convolutions = [
            Convolution(c, s, ones) for c, s in zip(layer.connections, sources, strict=True)
        ]
        # T u of a source spike; the image comes whole at every step, so that it counts 1, not T u.
        self.weight = [1 if s.name == INPUT else 1 << s.bits for s in sources]
        self.synapses = [
            fan_out(c, s) * (s.name != INPUT)
            for c, s in zip(layer.connections, sources, strict=True)
        ]
        self.bias = (layer.bias << (8 * layer.bias_shift)).astype(np.float64)
        self.threshold = np.ldexp(float(1 << layer.bits), layer.shift)
        self.v: FloatArray | None = None

    def start(self) -> None:
        self.v = None

    def count(self, values: dict[str, FloatArray]) -> float:
        """Synaptic operations of this step."""
        return sum(
            float((values[c.source].sum(axis=(0, 3)) * synapses).sum())
            for c, synapses in zip(self.layer.connections, self.synapses, strict=True)
        )

    def drive(self, values: dict[str, FloatArray]) -> FloatArray:
        """What a step adds, in P / T: integers below 2**53, exact in float64."""
        total: FloatArray | float = 0.0
        for connection, convolve, weight in zip(
            self.layer.connections, self.convolutions, self.weight, strict=True
        ):
            total = total + convolve(values[connection.source]).astype(np.float64) * weight
        return total * self.layer.multiplier + self.bias

    def fire(self, drive: FloatArray) -> FloatArray:
        """Spikes (0 or 1) of this step, after pooling."""
        if self.v is None:
            self.v = np.broadcast_to(self.threshold / 2, drive.shape).copy()
        self.v += drive
        fired = self.v >= self.threshold
        self.v -= fired * self.threshold
        spikes = fired.astype(np.float32)
        return spikes if self.layer.pool is None else max_pool(spikes, self.layer.pool)


def position_coded(network: Network) -> Network:
    """The network with at most one spike per activation in every layer but the last."""
    layers: list[Layer] = []
    for layer in network.layers[:-1]:
        table: Int64Array = nearest_ones(layer.bits, 1, layer.is_signed)
        if layer.table is not None:
            top = int(layer.table.max())
            table = compose(layer.table, table)
            table[table > top] = 1 << (top.bit_length() - 1)
        layers.append(replace(layer, table=table))
    return replace(network, layers=(*layers, network.output))
