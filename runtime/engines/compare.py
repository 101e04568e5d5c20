# SPDX-License-Identifier: Apache-2.0
"""Exact comparison of two runs, spike by spike; the first difference is named."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemcore.golden.arithmetic.stem import encode
from stemcore.golden.network.network import INPUT, Network, Population
from stemcore.golden.network.results import part
from stemcore.golden.program.program import Program
from stemcore.golden.program.words import unpack_words
from stemcore.golden.spec.fields import Formats, Memory

from .result import RunResult


class Difference(AssertionError):
    """Two engines disagree."""


def compare_values(
    populations: Sequence[Population],
    expected: Mapping[str, ArrayLike],
    got: Mapping[str, ArrayLike],
    *,
    names: tuple[str, str],
) -> int:
    """Compare the spike trains of all ``populations``, in order; returns the spikes compared.

    ``expected`` and ``got`` hold integers (N, C, H, W) by population; each must hold every
    population. Raises :class:`Difference` that names layer, image, neuron, time step, what was
    expected and what came; of several differences the earliest layer, image and time step.
    """
    n_spikes = 0
    for population in populations:
        want = np.asarray(expected[population.name], np.int64)
        have = np.asarray(got[population.name], np.int64)
        if want.shape != have.shape:
            raise Difference(
                f"{population.name}: {names[1]} must have the shape of {names[0]}, {want.shape}; "
                f"got {have.shape}"
            )
        if np.array_equal(want, have):
            n_spikes += int(np.bitwise_count(want & ((1 << population.bits) - 1)).sum())
            continue
        raise Difference(_first(population, want, have, names))
    return n_spikes


def _first(
    population: Population, want: NDArray[np.int64], have: NDArray[np.int64], names: tuple[str, str]
) -> str:
    image = int(np.nonzero((want != have).any(axis=(1, 2, 3)))[0][0])
    wrong = want[image] != have[image]
    mask = (1 << population.bits) - 1
    spikes = [encode(v[image] & mask, population.bits, False) for v in (want, have)]
    t, c, y, x = (int(i[0]) for i in np.nonzero(spikes[0] != spikes[1]))
    return (
        f"{population.name}: image {image}, neuron (channel {c}, row {y}, column {x}), time step "
        f"{t}: {names[0]} has {int(spikes[0][t, c, y, x])}, {names[1]} has "
        f"{int(spikes[1][t, c, y, x])} (values {int(want[image, c, y, x])} and "
        f"{int(have[image, c, y, x])}; {int(wrong.sum())} of {wrong.size} neurons differ in this "
        f"image)"
    )


def sent_values(program: Program, values: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.int64]]:
    """``values`` as seen on the links: neurons that nobody listens to send nothing.

    (A 1 x 1 convolution of stride 2, for example, leaves three of four positions unread. What such
    neurons fire still counts in the counter FIRED.)
    """
    formats = Formats(program.params)
    lanes = program.params.lanes
    masks = {
        layer.population.name: np.zeros(layer.population.shape, bool) for layer in program.layers
    }
    for core in program.cores:
        words = unpack_words(formats.fire, core.memories[Memory.FIRE])
        mask = masks[core.layer]
        for block, y, x, count in zip(
            words["block"], words["y"], words["x"], words["count"], strict=True
        ):
            if count:
                mask[block * lanes : (block + 1) * lanes, y, x] = True
    return {name: np.asarray(values[name], np.int64) * mask for name, mask in masks.items()}


def populations_of(program_or_network: object) -> list[Population]:
    """All populations but the input, in order, of a ``Network`` or a ``Program``."""
    layers = program_or_network.layers  # type: ignore[attr-defined]
    return [layer.population for layer in layers if layer.population.name != INPUT]


def first_difference(
    program: Program | Network,
    expected: Mapping[str, NDArray[np.int64]],
    got: Mapping[str, NDArray[np.int64]],
    names: tuple[str, str],
) -> str | None:
    """What :func:`compare_values` finds in all populations but the input; None if nothing."""
    try:
        compare_values(populations_of(program), expected, got, names=names)
    except Difference as difference:
        return str(difference)
    return None


def with_outputs(program: Program, result: RunResult) -> dict[str, NDArray[np.int64]]:
    """Values fired by the cores; those of output layers as the host received them.

    Raises :class:`Difference` where an output layer fired something else.
    """
    shapes = {population.name: population.shape for population in program.output_populations}
    received = {name: part(result.outputs, shapes, name) for name in shapes}
    for name, values in received.items():
        if not np.array_equal(result.values[name], values):
            raise Difference(
                f"{name}: the host must receive what the cores fire; it received something else: "
                "the network on chip lost or changed spikes"
            )
    return {**result.values, **received}


def chip_difference(
    program: Program,
    golden: Mapping[str, ArrayLike],
    ran: RunResult,
    names: tuple[str, str],
    model: RunResult | None = None,
) -> str | None:
    """The first difference between golden and what a chip did; None if there is none.

    Compared are the spikes on its links, what the host received, and, with ``model`` (what engine
    `program` returned), the counters of all cores. Of a chip that nobody sees into, spikes on the
    host's link alone.
    """
    try:
        sent = sent_values(program, golden)
        seen = list(program.output_populations) if ran.only_outputs else populations_of(program)
        compare_values(seen, sent, with_outputs(program, ran), names=names)
        if model is not None:
            check_counters(program, model, ran)
    except Difference as difference:
        return str(difference)
    return None


def check_counters(program: Program, model: RunResult, rtl: RunResult) -> None:
    """The gateware's counters must be those of the program engine, core by core.

    Raises :class:`Difference` that names node, layer and counter of the first that is not.
    """
    if model.counters is None or rtl.counters is None:
        return
    for core in program.cores:
        want, have = model.counters[core.x, core.y], rtl.counters[core.x, core.y]
        for name, value in want.items():
            if have[name] != value:
                raise Difference(
                    f"node ({core.x}, {core.y}) {core.layer}: counter {name} must be {value} as in "
                    f"engine 'program', got {have[name]}"
                )
