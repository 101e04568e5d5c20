# SPDX-License-Identifier: Apache-2.0
"""How long a program takes on a chip with fewer cores than it has: load, compute, transfer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT
from stemcore.golden.network.results import join
from stemcore.golden.program.program import Program

from ..activity import Activity
from ..estimation.estimate import estimate, estimate_images
from .chip import VirtualChip
from .parts import load_flits


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

    def run(self, n_images: int) -> float:
        """Cycles of so many images, without loading."""
        return self.latency + (n_images - 1) * self.interval


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
    def flits_in(self) -> float:
        """Spikes and tokens from the host, per image."""
        return sum(group.flits_in for group in self.groups)

    @property
    def flits_out(self) -> float:
        """Spikes and tokens to the host, per image."""
        return sum(group.flits_out for group in self.groups)

    def of_batch(self, n_images: int) -> float:
        """Cycles from the first flit of configuration to the last image's output."""
        return self.load + sum(group.run(n_images) for group in self.groups)

    def per_image(self, n_images: int) -> float:
        """Cycles of an image in a batch of ``n_images``, its share of loading included."""
        return self.of_batch(n_images) / n_images

    def first_image(self, n_images: int) -> float:
        """Cycles from the first image's first spike to its output, in a batch of ``n_images``."""
        others = sum(group.run(n_images) for group in self.groups[:-1])
        return others + sum(group.load for group in self.groups[1:]) + self.groups[-1].latency


def estimate_virtual(chip: VirtualChip, activity: Activity | None = None) -> VirtualTimes:
    """Of images that all have the spikes of ``activity``."""
    return VirtualTimes(tuple(_group(part.program, activity) for part in chip.parts))


def _group(program: Program, activity: Activity | None) -> GroupTimes:
    found = estimate(program, activity)
    tokens_in, tokens_out = token_flits(program)
    return GroupTimes(
        load_flits(program),
        found.latency,
        found.interval,
        found.input_packets + tokens_in,
        found.output_packets + tokens_out,
    )


def time_images(
    chip: VirtualChip,
    images: NDArray[np.integer],
    values: Mapping[str, NDArray[np.integer]],
    activity: Activity,
) -> VirtualTimes:
    """Of these images (N, C, H, W), one after the other through each group; flits are those of
    ``activity``.

    ``values`` (N, C, H, W) are what every layer fires, by name.
    """
    known = {INPUT: images, **values}
    groups = []
    for part in chip.parts:
        sent = join([known[name] for name in part.inputs])
        times = estimate_images(part.program, sent, values)
        group = _group(part.program, activity)
        groups.append(replace(group, latency=times.latency, interval=times.interval))
    return VirtualTimes(tuple(groups))


def token_flits(program: Program) -> tuple[int, int]:
    """END and CREDIT of an image into the chip, and out of it; how often a core asks the host to
    hold its spikes (PACE) depends on timing and is left out."""
    periods_in = program.tokens_per_sample(program.input)
    periods_out = program.tokens_per_sample(program.output_populations[0])
    into = periods_in * len(program.input_end) + periods_out * len(program.output_cores)
    out = periods_out * program.output_ends + periods_in * program.input_credits
    return into, out
