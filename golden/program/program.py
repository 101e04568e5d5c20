# SPDX-License-Identifier: Apache-2.0
"""A program: everything a chip needs to run a network, for every engine to load."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..network.network import OUTPUT, Population
from ..network.results import ONE_OUTPUT, Output, Results
from ..network.tail import TailStep
from ..spec.fields import Memory
from ..spec.params import ChipParams


@dataclass(frozen=True)
class CoreImage:
    """Contents of one core.

    ``memories[m]`` holds the words in use of memory ``m``, from address 0 up, as uint32 chunks of
    shape (words, chunks), chunk 0 holding bits 0..31: exactly what WRITE packets carry. The
    registers of ``Memory.CONTROL`` are its words ``Control.N_SOURCES`` to ``Control.CREDIT_LIST``,
    and ``Control.INTEGRATION`` where the neuron model has constants.
    Words beyond are not written and may hold anything.
    """

    x: int  # column, 0 ..
    y: int  # row, 1 ..
    layer: str  # name of the layer that this core computes a tile of
    memories: Mapping[Memory, NDArray[np.uint32]]


@dataclass(frozen=True)
class InputRoute:
    """Where the host sends the spikes of a rectangle of input positions (all channels).

    Rows ``y0..y1`` and columns ``x0..x1`` (both ends included) of the input population go to axon
    ``axon`` of the nodes in ``nodes`` = (x0, y0, x1, y1). Routes may overlap; a spike is sent once
    for every route that contains it.

    ``population`` numbers one of :attr:`Program.inputs`. ``sent`` has a bit for each neuron of the
    rectangle, channel by channel, row by row, packed as ``numpy.packbits`` does; None: all are
    sent.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    nodes: tuple[int, int, int, int]
    axon: int
    # Of parts alone: not shown of a whole program's routes, which send all of the one input.
    population: int = field(default=0, repr=False)
    sent: bytes | None = field(default=None, repr=False)

    def neurons(self, channels: int) -> NDArray[np.bool_]:
        """Which neurons of the rectangle are sent, of a population of ``channels`` channels.

        Shape (C, rows, columns) of the rectangle.
        """
        (y0, y1), (x0, x1) = self.rows, self.columns
        shape = channels, y1 - y0 + 1, x1 - x0 + 1
        if self.sent is None:
            return np.ones(shape, bool)
        bits = np.unpackbits(np.frombuffer(self.sent, np.uint8), count=math.prod(shape))
        return bits.astype(bool).reshape(shape)


@dataclass(frozen=True)
class LayerInfo:
    """What reports need to know of a layer; values never influence execution.

    ``shape`` is that of the potentials, ``population`` what is fired after pooling.
    """

    population: Population
    shape: tuple[int, int, int]
    n_macs: int  # multiply-accumulates per image, of the ANN: zero padding not counted
    n_parameters: int


@dataclass(frozen=True)
class Program:
    """A network placed on a mesh of ``columns`` x ``rows`` nodes (rows count from 1).

    Or a part of a network, for a chip with fewer cores than the network needs: ``is_part``. Its
    layers may have neurons that no core of the program computes, and the host sends it what other
    parts have fired (``replayed``) beside, or in place of, the network's input.
    """

    name: str
    params: ChipParams
    columns: int
    rows: int
    cores: tuple[CoreImage, ...]
    layers: tuple[LayerInfo, ...]
    input: Population
    input_routes: tuple[InputRoute, ...]
    input_end: tuple[tuple[int, int, int, int], ...]  # disjoint rectangles: the host's END
    input_credits: int  # CREDIT tokens the host awaits before it sends a token period
    output: str  # layer whose spikes go to the host; of several the first one
    output_ends: int  # END tokens that complete a token period at the host
    output_cores: tuple[tuple[int, int], ...]  # nodes (x, y) that the host grants CREDIT to
    overflow_proved: bool = True  # False: potentials were bounded by calibration only
    tail: tuple[TailStep, ...] = ()  # what the host makes of the output's integers (N, C, H, W)
    results: Results = ONE_OUTPUT  # all outputs, from their integers on, where there are several
    replayed: tuple[Population, ...] = ()  # that the host sends beside ``input``
    is_part: bool = False

    @property
    def inputs(self) -> tuple[Population, ...]:
        """Populations whose spikes the host sends."""
        return (self.input, *self.replayed)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of an image: that of the input, or of all inputs in one array, as outputs are in
        :mod:`..network.results`."""
        if not self.replayed:
            return self.input.shape
        return sum(math.prod(population.shape) for population in self.inputs), 1, 1

    @property
    def output_layers(self) -> tuple[str, ...]:
        """Layers whose spikes go to the host; a place is the axon of these spikes there."""
        return self.results.sources or (self.output,)

    @property
    def output_populations(self) -> tuple[Population, ...]:
        """Populations of :attr:`output_layers`."""
        by_name = {layer.population.name: layer.population for layer in self.layers}
        return tuple(by_name[name] for name in self.output_layers)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What the network returns, in order; the only one has the name ``output``."""
        return self.results.outputs or (Output(OUTPUT, self.output, self.tail),)

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Shape of an image's outputs in one array, see :mod:`..network.results`."""
        shapes = [population.shape for population in self.output_populations]
        if len(shapes) == 1:
            return shapes[0]
        return sum(c * h * w for c, h, w in shapes), 1, 1

    def tokens_per_sample(self, population: Population) -> int:
        """ENDs of a sample of ``population`` to each destination, and CREDITs from it."""
        return self.params.model.tokens_per_sample(population.bits)
