# SPDX-License-Identifier: Apache-2.0
"""Whether a network fits a chip, before any image of it is read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from stemcore.golden.spec.params import ChipParams

from .assembly.fit import core_budget
from .errors import CompileError, PartitionError, QuantizeError, larger_presets
from .frontend.compatibility import check_compatible
from .frontend.passes import form_layers
from .lowering.skip_buffers import buffers_needed, check_choice, may_leave_out, skips_stages
from .mapping.partition import Partitioner, too_many_layers
from .mapping.split import split_layers
from .pipeline import Compilation, run_stages
from .quantization.given_choices import is_quantized
from .stages import Options, run_skip_buffers

NOISE_IMAGES = 2
MOST_CROWDED = 0.9  # share of the largest mesh beyond which another preset is looked for


class CrowdedError(PartitionError):
    """A network fits a chip so tightly that its cores can hardly be placed."""


@dataclass(frozen=True)
class Fit:
    """How a network fits a chip.

    Attributes
    ----------
    preset : str
        Name of the larger preset that holds it; empty where that of the options does, or none.
    skip_buffers : bool or None
        ``Options.with_skip_buffers`` with which it fits: False where it fits without them alone.
    problem : CompileError, optional
        Why it does not fit as the options stand; None where nothing speaks against it.
    fits : bool
        Whether it fits in one of the ways.
    """

    preset: str = ""
    skip_buffers: bool | None = None
    problem: CompileError | None = None
    fits: bool = True


def find_fit(compilation: Compilation, *, larger: bool) -> Fit:
    """The first way in which the network fits a chip.

    ``compilation`` is one whose check has passed. First the options as they stand are tried, then
    (``larger``) larger presets, and then, where the options leave the choice, all of them again
    without skip buffers, which take cores.

    Scales come from noise in the place of calibration images. What is said depends on sizes and
    weights, hardly on scales; so a network that fits here may still be refused: with its own scales
    for a shift or a range, or where it is placed for a table of destinations.
    """
    options = compilation.options
    check_choice(options.with_skip_buffers, options.params)
    presets = {"": options.params}
    if larger:
        presets |= larger_presets(options.params)
    ways: list[bool | None] = [options.with_skip_buffers]
    if options.with_skip_buffers is None and may_leave_out(options.params):
        ways.append(False)
    first, lowered = None, None
    for way in ways:
        refused = _too_many_layers(compilation, presets.values(), way)
        if refused is None:
            lowered = lowered or _lowered(compilation)
            if lowered is None:
                return Fit()  # noise gives no scales; the stages themselves will tell
            if isinstance(lowered, CompileError):
                return Fit(problem=first or lowered, fits=False)
            if first is not None and not skips_stages(lowered.exact):
                break
            name, refused = _first_that_holds(lowered, presets, way)
            if name is not None:
                usual = not name and way is options.with_skip_buffers
                return Fit(name, way, None if usual else first or refused)
        first = first or refused
    return Fit(problem=refused or first, fits=False)


def _first_that_holds(
    lowered: Compilation, presets: Mapping[str, ChipParams], skip_buffers: bool | None
) -> tuple[str | None, CompileError | None]:
    """The name of the first chip that holds the network, and what the first of all lacks.

    A chip that the network crowds does where there is no other; the only one is taken as it is.
    """
    crowded, problem = None, None
    for name, params in presets.items():
        options = replace(lowered.options, params=params, with_skip_buffers=skip_buffers)
        refused = _try(lowered, options)
        if refused is None:
            return name, problem
        problem = problem or refused
        if isinstance(refused, CrowdedError) and crowded is None:
            crowded = name
    return crowded, problem


def _too_many_layers(
    compilation: Compilation, chips: Iterable[ChipParams], skip_buffers: bool | None
) -> CompileError | None:
    """Why none of the chips can have a core for each layer; None otherwise.

    It follows from who reads whom, before there are integers, of which such a network needs many.
    """
    graph = compilation.graph
    largest = max(p.max_columns * p.max_rows for p in chips)
    if is_quantized(graph):
        return None  # its layers are formed with its scales
    layers = form_layers(graph)
    reads = {node.name: node.inputs for node in layers.nodes}
    needed = {} if skip_buffers is False else buffers_needed(reads, layers.ends)
    n_layers, n_buffers = len(reads), sum(needed.values())
    if n_layers + n_buffers <= largest:
        return None
    stages = ""
    if needed:
        most = max(needed, key=needed.__getitem__)
        stages = f", {n_buffers:,} for stages passed, {needed[most]} of these by {most}"
    return too_many_layers(
        layers.name, n_layers + n_buffers, f": {n_layers:,} for layers{stages}", largest
    )


def _lowered(compilation: Compilation) -> Compilation | CompileError | None:
    """The compilation as far as its integer network; None where noise gives no scales."""
    low, high = compilation.options.input_map.limits
    shape = (NOISE_IMAGES, *compilation.graph.input_shape)
    noise = np.random.default_rng(0).integers(low, high + 1, shape)
    try:
        return run_stages(compilation.with_inputs(calibration=noise), stop="lower")
    except QuantizeError:
        return None
    except CompileError as error:
        return error


def _try(lowered: Compilation, options: Options) -> CompileError | None:
    params = options.params
    try:
        check_compatible(lowered.graph, params)
        split = split_layers(lowered.exact, params)
        network = run_skip_buffers(split, options.with_skip_buffers)
        # Exact and scaled integration take the same room. Nodes are not chosen: that takes longest,
        # and only tables of destinations depend on it.
        partitioner = Partitioner(network, params)
        budget = core_budget(partitioner, params, options.mesh, options.cores)
        partitioner.check_budget(budget)
        if options.mesh is None and partitioner.fewest > MOST_CROWDED * partitioner.largest:
            raise CrowdedError(
                network.name,
                f"needs at least {partitioner.fewest} cores, the largest mesh has "
                f"{partitioner.largest}; so full a mesh leaves no choice of places, and tables of "
                "destinations overflow",
            )
    except CompileError as error:
        return error
    return None
