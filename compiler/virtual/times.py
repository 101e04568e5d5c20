# SPDX-License-Identifier: Apache-2.0
"""How long a program takes on a chip with fewer cores than it has: load, compute, transfer."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT
from stemcore.golden.network.results import join
from stemcore.golden.program.program import Program

from ..activity import Activity
from ..estimation.estimate import estimate, estimate_images
from .chip import VirtualChip

START_FLITS = 2  # a pointer and a command


@dataclass(frozen=True)
class GroupTimes:
    """One group of cores.

    load : flits that load and start its cores, once a batch; the host's link takes one a cycle
    latency, interval : cycles of the first image, and from image to image
    flits_in, flits_out : spikes and tokens between host and chip, per image
    """

    load: int
    latency: float
    interval: float
    flits_in: float
    flits_out: float


@dataclass(frozen=True)
class VirtualTimes:
    """All groups, in their order."""

    groups: tuple[GroupTimes, ...]

    @property
    def load(self) -> int:
        """Cycles that loading takes, once a batch."""
        return sum(group.load for group in self.groups)

    @property
    def interval(self) -> float:
        """Cycles of an image among many, loading left out."""
        return sum(group.interval for group in self.groups)

    @property
    def transfer(self) -> float:
        """Flits between host and chip, per image."""
        return sum(group.flits_in + group.flits_out for group in self.groups)

    def of_batch(self, n_images: int) -> float:
        """Cycles from the first flit of configuration to the last image's output."""
        fill = sum(group.latency - group.interval for group in self.groups)
        return self.load + fill + n_images * self.interval

    def per_image(self, n_images: int) -> float:
        """Cycles of an image in a batch of ``n_images``, its share of loading included."""
        return self.of_batch(n_images) / n_images


def estimate_virtual(chip: VirtualChip, activity: Activity | None = None) -> VirtualTimes:
    """Of images that all have the spikes of ``activity``."""
    groups = []
    for part in chip.parts:
        program = part.program
        found = estimate(program, activity)
        tokens_in, tokens_out = token_flits(program)
        groups.append(
            GroupTimes(
                load_flits(program),
                found.latency,
                found.interval,
                found.input_packets + tokens_in,
                found.output_packets + tokens_out,
            )
        )
    return VirtualTimes(tuple(groups))


def image_intervals(
    chip: VirtualChip, images: NDArray[np.integer], values: Mapping[str, NDArray[np.integer]]
) -> tuple[float, float]:
    """Latency and interval of these images (N, C, H, W), sums over all groups, without loading.

    ``values`` (N, C, H, W) are what every layer fires, by name.
    """
    known = {INPUT: images, **values}
    latency = interval = 0.0
    for part in chip.parts:
        sent = join([known[name] for name in part.inputs])
        times = estimate_images(part.program, sent, values)
        latency, interval = latency + times.latency, interval + times.interval
    return latency, interval


def load_flits(program: Program) -> int:
    """Flits that write the memories of all cores, and start them."""
    written = sum(
        1 + words.size for core in program.cores for words in core.memories.values() if words.size
    )
    ranges = 1 + (1 << program.params.axon_width)
    return written + len(program.cores) * (ranges + START_FLITS)


def token_flits(program: Program) -> tuple[int, int]:
    """END and CREDIT of an image into the chip, and out of it; how often a core asks the host to
    hold its spikes (PACE) depends on timing and is left out."""
    periods_in = program.tokens_per_sample(program.input)
    periods_out = program.tokens_per_sample(program.output_populations[0])
    into = periods_in * len(program.input_end) + periods_out * len(program.output_cores)
    out = periods_out * program.output_ends + periods_in * program.input_credits
    return into, out
