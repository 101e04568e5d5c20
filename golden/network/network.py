# SPDX-License-Identifier: Apache-2.0
"""The lowered network: integer layers, the common language of compiler and golden model.

One kind of layer serves all: every connection is a grouped convolution. A dense layer over a source
of shape (C, H, W) is a convolution whose kernel is (H, W); average pooling is a depthwise one with
constant weights; a residual addition is a second connection onto the same layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spec.neuron_model import Neuron
from ..spec.neurons.exact import EXACT
from ..spec.spike_code import SpikeCode
from ..spec.windows import Pair, Spans, window_shape, window_span
from .results import ONE_OUTPUT, Output, Results, join, part
from .tail import TailStep
from .taps import Taps, window_taps

INPUT = "input"  # name under which connections refer to the network's input
OUTPUT = "output"  # name of an output that is the only one


@dataclass(frozen=True)
class Population:
    """Neurons that fire: name, shape (C, H, W), bits n = T, and whether values are signed."""

    name: str
    shape: tuple[int, int, int]
    bits: int
    is_signed: bool

    @property
    def code(self) -> SpikeCode:
        """How the values are fired."""
        return SpikeCode(self.bits, self.is_signed)

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value, both included."""
        return self.code.limits


@dataclass(frozen=True)
class Connection:
    """Synapses from one population onto a layer, as a grouped convolution.

    Adds ``sum (weight << shift) * x`` to the membrane potentials. Where ``rows`` or ``columns`` are
    given, they say which outputs each row or column of the source reaches, and through which row or
    column of the kernel: a transposed convolution, interpolation, windows of different sizes.

    Attributes
    ----------
    source : str
        Name of the population that fires, or ``INPUT``.
    weight : int8 array (C_out, C_in / groups, K_y, K_x)
        -127..127.
    stride, padding : (int, int)
        In y and x; padding is with zeros, the same on both sides, and the right and lower edge may
        be left unused, as in torch.
    groups : int
        As in torch: 1 is dense in channels, C_in is depthwise.
    shift : int
        Left shift h of all weights.
    channels : (int, int) or None
        First channel of the source, and the one after the last, that these synapses begin at; all
        where None. C_in is their number.
    rows, columns : Taps or None
        In the place of stride and padding in y or x, which are 1 and 0 then.
    """

    source: str
    weight: NDArray[np.int8]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    shift: int = 0
    channels: tuple[int, int] | None = None
    rows: Taps | None = None
    columns: Taps | None = None

    def taps(self, axis: int, size: int) -> Taps:
        """Taps of ``size`` source rows (axis 0) or columns (axis 1)."""
        given = (self.rows, self.columns)[axis]
        if given is not None:
            return given
        return window_taps(size, self.weight.shape[2 + axis], self.stride[axis], self.padding[axis])

    def span(self, source: Population) -> tuple[int, int]:
        """``channels``, also where they are all."""
        return (0, source.shape[0]) if self.channels is None else self.channels


@dataclass(frozen=True)
class Digits:
    """What a layer fires in place of activations: bytes of P, so that a sum is sent without loss.

    Digit d of channel c is ``(P >> (s + 8 d)) mod 2**8`` and has channel ``d * step + c`` of the
    population; channels between the layer's last and the next multiple of ``step`` never fire.

    Attributes
    ----------
    count : int
        Digits of a channel, the lowest first.
    step : int
        At least the layer's channels; whole blocks of the lanes of the cores that it runs on.
    """

    count: int
    step: int


@dataclass(frozen=True)
class MaxPool:
    """Maximum over finished activations; windows are clipped at the border, padding never wins."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def span(self, axis: int, size: int, outputs: Pair) -> Pair:
        """Rows (axis 0) or columns (axis 1) of ``size`` (start, stop) that the outputs
        ``outputs[0]`` up to but not including ``outputs[1]`` read."""
        return window_span(outputs, size, self.kernel[axis], self.stride[axis], self.padding[axis])

    def output_shape(self, source: Pair) -> Pair:
        """Height and width after pooling of ``source`` before."""
        return window_shape(source, self.kernel, self.stride, self.padding)


@dataclass(frozen=True)
class UnevenMaxPool:
    """Maximum over windows of any sizes: all pairs of the spans ``rows`` and ``columns``.

    Spans are (start, stop); neither starts nor stops decrease.
    """

    rows: Spans
    columns: Spans

    def span(self, axis: int, size: int, outputs: Pair) -> Pair:
        """As of :class:`MaxPool`; ``size`` does not matter."""
        spans = (self.rows, self.columns)[axis]
        return spans[outputs[0]][0], spans[outputs[1] - 1][1]

    def output_shape(self, source: Pair) -> Pair:
        """Height and width after pooling; ``source`` does not matter."""
        return len(self.rows), len(self.columns)


@dataclass(frozen=True)
class Layer:
    """One population of spiking neurons, and how its values come about.

    ``z = sum over connections``; ``P = m z + (b << 8 sb)``;
    ``q = clamp(round_half_even(P / 2**s))``; ``q' = table[q]``; then max pooling.

    Attributes
    ----------
    name : str
    shape : (C, H, W)
        Of the membrane potentials, before pooling.
    connections : tuple of Connection
    bias : int64 array (C,), within 32 bits
    multiplier : int64 array (C,)
        1 (exact profile) or 2**15 .. 2**16 - 1.
    shift : int64 array (C,)
        s, 0..47.
    bias_shift : int
        Left shift of the bias in bytes (0..3).
    bits, is_signed
        Of the output; T = bits. Signed limits are symmetric.
    table : array (2**bits,) or None
        Indexed by the low ``bits`` of q; entries are values of the same bits and sign.
    pool : MaxPool, UnevenMaxPool or None
    digits : Digits or None
        Not None: bytes of P are fired instead of q; 8 unsigned bits, no table, no pooling.
    neuron : Neuron
        The neurons' model and its constants; their last potential stands for z.
    """

    name: str
    shape: tuple[int, int, int]
    connections: tuple[Connection, ...]
    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    bias_shift: int = 0
    bits: int = 8
    is_signed: bool = False
    table: NDArray[np.int64] | None = None
    pool: MaxPool | UnevenMaxPool | None = None
    digits: Digits | None = None
    neuron: Neuron = EXACT

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of what is fired: after pooling, all digits."""
        if self.digits is not None:
            return self.digits.count * self.digits.step, *self.shape[1:]
        if self.pool is None:
            return self.shape
        return self.shape[0], *self.pool.output_shape(self.shape[1:])

    @property
    def population(self) -> Population:
        """What this layer fires."""
        return Population(self.name, self.out_shape, self.bits, self.is_signed)


@dataclass(frozen=True)
class Network:
    """Layers in an order in which every source comes before its use.

    The last one is the output, unless ``results`` name others or several; its ``tail`` is then
    theirs. ``scales`` maps every population's name to the real value of one unit, for reports and
    for the tail: what the host computes of the real values of the output.
    """

    name: str
    input: Population
    layers: tuple[Layer, ...]
    scales: Mapping[str, float]
    tail: tuple[TailStep, ...] = ()
    results: Results = ONE_OUTPUT

    def population(self, name: str) -> Population:
        """The population called ``name`` (``INPUT`` or a layer); ``KeyError`` if there is none."""
        if name == INPUT:
            return self.input
        for layer in self.layers:
            if layer.name == name:
                return layer.population
        raise KeyError(name)

    @property
    def output(self) -> Layer:
        """The layer of the output, of several of the first one."""
        name = self.output_layers[0]
        return next(layer for layer in self.layers if layer.name == name)

    @property
    def output_layers(self) -> tuple[str, ...]:
        """Layers whose spikes go to the host; a place is the axon of these spikes there."""
        return self.results.sources or (self.layers[-1].name,)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What the network returns, in order; the only one has the name ``output``."""
        only = Output(OUTPUT, self.layers[-1].name, self.tail)
        return self.results.outputs or (only,)

    def split(self, outputs: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Values (N, C, H, W) by layer that the host receives: inverse of :meth:`joined`."""
        shapes = {name: self.population(name).shape for name in self.output_layers}
        return {name: part(outputs, shapes, name) for name in shapes}

    def joined(self, values: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """What the host receives of all layers' values: one array (:func:`.results.join`)."""
        return join([values[name] for name in self.output_layers])
