# SPDX-License-Identifier: Apache-2.0
"""Cycles, operations and link loads of a program, before any of it is simulated.

Counts are exact where the activity is. Times rest on the cycles of
:mod:`stemcore.golden.spec.timing`. For average activity they follow from sums over an image and the
exchange of tokens (:mod:`stemcore.compiler.estimation.steady_schedule`), for given images from
every burst of their spikes (:mod:`stemcore.compiler.estimation.burst_pipeline`), and there cores
of a layer share what links of the mesh carry. The averages leave congestion in the mesh out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT
from stemcore.golden.program.inputs import split_inputs
from stemcore.golden.program.program import Program
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.timing import fire_cycles, update_cycles

from ..activity import Activity, population_maps
from .burst_pipeline import Pipeline
from .flows import Flows, Link, Loads, Spikes
from .steady_schedule import Schedule, schedule


@dataclass(frozen=True)
class CoreEstimate:
    """One core, per image.

    ``operations`` are dendrite cycles, ``sops`` weights added, ``packets`` spikes sent (one for
    each destination entry); ``accumulate``, ``update_pass`` and ``fire`` are cycles of the three
    phases.
    """

    x: int
    y: int
    layer: str
    spikes_in: float
    operations: float
    sops: float
    fired: float
    packets: float
    accumulate: float
    update_pass: float
    fire: float

    @property
    def busy(self) -> float:
        """Cycles that the core needs for an image: accumulating and firing overlap."""
        return max(self.accumulate, self.fire) + self.update_pass


@dataclass(frozen=True)
class Estimate:
    """A program, per image.

    Attributes
    ----------
    cores : tuple of CoreEstimate
        In the program's order.
    interval, latency : float
        Cycles between images when they follow each other, and from the first spike of an image to
        the END of its output in an idle chip.
    input_packets, output_packets : float
        Spikes between host and mesh.
    links : mapping
        Spikes that cross each link ((x, y), (x, y)), HOST among the nodes.
    """

    cores: tuple[CoreEstimate, ...]
    interval: float
    latency: float
    input_packets: float
    output_packets: float
    links: Mapping[Link, float]

    @property
    def busiest_core(self) -> CoreEstimate:
        """The core that needs the most cycles for an image."""
        return max(self.cores, key=lambda core: core.busy)

    @property
    def busiest_link(self) -> tuple[Link, float]:
        """The link that most spikes cross, and how many."""
        return max(self.links.items(), key=lambda item: (item[1], item[0]))

    @property
    def sops(self) -> float:
        """Weights added for spikes."""
        return sum(core.sops for core in self.cores)


def estimate(program: Program, activity: Activity | None = None) -> Estimate:
    """Cycles, operations and link loads of ``program`` per image, given its spikes.

    ``activity`` is that of :mod:`stemcore.compiler.activity`: measured averages, or the spikes of
    one image. Interval and latency are those of images that all have these spikes.
    """
    flows = Flows(program)
    loads = flows.loads(spikes_of(program, activity))
    n_images = 2 * len(program.layers) + 8
    times = schedule(flows, loads, n_images)
    half = n_images // 2
    return Estimate(
        tuple(core_estimate(flows, loads, number) for number in range(flows.host)),
        float(times.end[-1] - times.end[half - 1]) / (n_images - half),
        times.latency,
        float(loads.packets[flows.host]),
        float(loads.spikes_in[flows.host]),
        dict(sorted(loads.links.items())),
    )


def estimate_images(
    program: Program, images: NDArray[np.integer], values: Mapping[str, NDArray[np.integer]]
) -> Schedule:
    """When each of these images (N, C, H, W), sent one after the other, begins and ends.

    ``values`` (N, C, H, W) are what every layer fires, by name. Cores of a pipeline work on
    different images and wait for each other's spikes, so that the interval is longer than for
    average activity (:mod:`stemcore.compiler.estimation.burst_pipeline`).
    """
    flows = Flows(program)
    sent = dict(zip(flows.inputs, split_inputs(program, images), strict=True))
    populations = sent | {
        info.population.name: values[info.population.name] for info in program.layers
    }
    return Pipeline(
        flows,
        [{name: array[i] for name, array in populations.items()} for i in range(len(images))],
    ).run()


def spikes_of(program: Program, activity: Activity | None) -> Spikes:
    """Arrays of expected spikes for the input and every layer of a program."""
    populations = [*program.inputs, *(info.population for info in program.layers)]
    shapes = {population.name: population.shape for population in populations}
    if not program.is_part:
        shapes = {INPUT: program.input.shape} | {
            info.population.name: info.population.shape for info in program.layers
        }
    elif activity is not None:
        activity = {name: spikes for name, spikes in activity.items() if name in shapes}
    return population_maps(shapes, activity)


def core_estimate(flows: Flows, loads: Loads, number: int) -> CoreEstimate:
    """One core of a program, given its loads."""
    image, operations = flows.images[number], float(loads.received()[number])
    packets = float(loads.packets[number])
    n_update = flows.register(number, Control.N_UPDATE)
    n_fire = flows.register(number, Control.N_FIRE)
    return CoreEstimate(
        image.x,
        image.y,
        image.layer,
        float(loads.spikes_in[number]),
        operations,
        float(loads.sops[number]),
        float(loads.fired[number]),
        packets,
        operations,
        float(flows.n_updates(number) * update_cycles(flows.program.params, n_update)),
        float(fire_cycles(flows.bits(number), n_fire, packets)),
    )
