# SPDX-License-Identifier: Apache-2.0
"""Whether a network fits a chip, before any image of it is read."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from stemcore.golden.spec.params import ChipParams

from .assembly.fit import core_budget
from .errors import CompileError, PartitionError, QuantizeError, larger_presets
from .frontend.compatibility import check_compatible
from .frontend.passes import form_layers
from .lowering.skip_buffers import buffer_skips, buffers_needed
from .mapping.partition import Partitioner, too_many_layers
from .mapping.split import split_layers
from .pipeline import Compilation, run_stages
from .quantization.given_choices import is_quantized
from .stages import Options

NOISE_IMAGES = 2
MOST_CROWDED = 0.9  # share of the largest mesh beyond which another preset is looked for


class CrowdedError(PartitionError):
    """A network fits a chip so tightly that its cores can hardly be placed."""


def try_fit(compilation: Compilation) -> CompileError | None:
    """Why the network does not fit the chip of the options; None where nothing speaks against it.

    ``compilation`` is one whose check has passed. Scales come from noise in the place of
    calibration images. What is said depends on sizes and weights, hardly on scales; so a network
    that fits here may still be refused: with its own scales for a shift or a range, or where it is
    placed for a table of destinations.
    """
    problem = _too_many_layers(compilation, ())
    if problem is not None:
        return problem
    lowered = _lowered(compilation)
    if not isinstance(lowered, Compilation):
        return lowered
    problem = _try(lowered, compilation.options)
    return None if isinstance(problem, CrowdedError) else problem


def choose_preset(compilation: Compilation) -> tuple[str, CompileError | None]:
    """The first larger preset whose chip holds the network, and what the options' own chip lacks.

    The name is empty where the options' own chip holds it, and where no preset does.
    """
    options = compilation.options
    problem = _too_many_layers(compilation, larger_presets(options.params).values())
    if problem is not None:
        return "", problem
    lowered = _lowered(compilation)
    if not isinstance(lowered, Compilation):
        return "", lowered
    problem = _try(lowered, options)
    if problem is None:
        return "", None
    crowded = [""] if isinstance(problem, CrowdedError) else []
    for name, params in larger_presets(options.params).items():
        other = _try(lowered, replace(options, params=params))
        if other is None:
            return name, problem
        if isinstance(other, CrowdedError):
            crowded.append(name)
    # A crowded chip may do where there is no other.
    name = crowded[0] if crowded else ""
    return name, problem if name or not crowded else None


def _too_many_layers(compilation: Compilation, others: Iterable[ChipParams]) -> CompileError | None:
    """Why neither the options' chip nor the others can have a core for each layer; None otherwise.

    It follows from who reads whom, before there are integers, of which such a network needs many.
    """
    graph, params = compilation.graph, compilation.options.params
    largest = max(p.max_columns * p.max_rows for p in (params, *others))
    if is_quantized(graph):
        return None  # its layers are formed with its scales
    layers = form_layers(graph)
    reads = {node.name: node.inputs for node in layers.nodes}
    needed = buffers_needed(reads, layers.ends)
    n_layers, n_buffers = len(reads), sum(needed.values())
    if n_layers + n_buffers <= largest:
        return None
    most = max(needed, key=needed.__getitem__)
    return too_many_layers(
        layers.name,
        n_layers + n_buffers,
        f": {n_layers:,} for layers, {n_buffers:,} for stages passed, {needed[most]} of these by "
        f"{most}",
        largest,
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
        network = buffer_skips(split_layers(lowered.exact, params))
        # Exact and scaled integration take the same room. Nodes are not chosen: that takes longest,
        # and only tables of destinations depend on it.
        partitioner = Partitioner(network, params)
        partitioner.cut(core_budget(partitioner, params, options.mesh, options.cores))
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
