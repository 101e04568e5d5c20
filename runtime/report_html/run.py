# SPDX-License-Identifier: Apache-2.0
"""What a run leaves for its page, whichever engine it ended with."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.assembly.layer_info import layer_info
from stemcore.compiler.estimation.flows import Flows, Loads
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.network import INPUT, Network, Population
from stemcore.golden.program.program import LayerInfo, Program
from stemcore.golden.spec.routing import Node
from stemcore.models.data import AnyDataset

from ..engines.result import Counters, RunResult
from ..report.energy import energy_figures
from ..report.figures import timing_figures
from .text import shape_text


@dataclass(frozen=True)
class Run:
    """A run of ``images``, and what it found.

    Attributes
    ----------
    report : contents of report.json
    dataset : the test images that ``images`` are the first of; None for a user's own images
    network : what golden ran
    images : int64 (N, C, H, W), integers that the host fires
    golden : integers that every layer fires in golden, by name (N, C, H, W)
    program, ran : None where no chip was compiled; ``ran`` is what engine `program` returned
    rtl : what the gateware returned; None where it did not run
    """

    report: Mapping[str, Any]
    dataset: AnyDataset | None
    network: Network
    images: NDArray[np.int64]
    golden: Mapping[str, NDArray[np.int64]]
    program: Program | None = None
    ran: RunResult | None = None
    rtl: RunResult | None = None

    @property
    def result(self) -> RunResult | None:
        """That of the engine whose spikes are shown; None for golden."""
        return self.rtl or self.ran

    @property
    def engine(self) -> str:
        """Name of the engine whose spikes are shown."""
        return self.result.engine if self.result else "golden"

    @cached_property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The layers on the chip; those of the network where there is none."""
        if self.program:
            return self.program.layers
        return tuple(layer_info(self.network, layer) for layer in self.network.layers)

    @property
    def populations(self) -> tuple[Population, ...]:
        """The input, then every layer, as they fire."""
        return self.network.input, *(layer.population for layer in self.layers)

    def shape_text(self, name: str) -> str:
        """Shape of a population, the same wherever it is named: of a layer that of its neurons,
        before any pooling, as report.json has it.
        """
        if name == INPUT:
            return shape_text(self.network.input.shape)
        layer = next(one for one in self.layers if one.population.name == name)
        pooled = layer.population.shape
        text = shape_text(layer.shape)
        return text if pooled == layer.shape else f"{text}, pooled to {shape_text(pooled[1:])}"

    def values(self, name: str) -> NDArray[np.int64]:
        """Integers that the engine's population ``name`` fired (N, C, H, W).

        Golden's, of a layer in a chip that nobody sees into.
        """
        if name == INPUT:
            return self.images
        if self.result and self.result.only_outputs and name not in self.result.values:
            return self.golden[name]
        return (self.result.values if self.result else self.golden)[name]

    @property
    def outputs(self) -> NDArray[np.int64]:
        """What reached the host (N, C, H, W), of several outputs the first."""
        if self.result:
            return self.network.split(self.result.outputs)[self.network.output.name]
        return self.golden[self.network.output.name]

    @property
    def counters(self) -> Mapping[Node, Counters] | None:
        """Counters of every core over all images, where there are cores.

        The gateware's, or those of engine `program`, which it has to equal.
        """
        found = [one.counters for one in (self.rtl, self.ran) if one and one.counters is not None]
        return found[0] if found else None

    @cached_property
    def energy(self) -> Mapping[str, Any] | None:
        """Both models' figures, see :func:`energy_figures`; None where there are no cores."""
        if self.program is None or self.counters is None:
            return None
        return energy_figures(self.program, self.counters, len(self.images))

    @cached_property
    def cycles(self) -> Mapping[str, float | None]:
        """Measured ``latency`` and ``interval`` of images, where the engine has a clock."""
        if self.rtl and self.rtl.timing is not None:
            return timing_figures(self.rtl)
        return {}

    @property
    def interval(self) -> tuple[float | None, bool]:
        """Cycles between images, and whether they were measured, not estimated."""
        measured = self.cycles.get("interval")
        if measured is not None:
            return measured, True
        return self.report.get("estimate", {}).get("interval"), False

    def spikes(self, population: Population) -> NDArray[np.int64]:
        """Spikes of every neuron in every image (N, C, H, W)."""
        return count_spikes(self.values(population.name), population.bits)

    @cached_property
    def loads(self) -> Loads:
        """What the mean image makes cores and links do; there has to be a program."""
        assert self.program is not None
        spikes = {p.name: self.spikes(p).mean(axis=0) for p in self.populations}
        return Flows(self.program).loads(spikes)
