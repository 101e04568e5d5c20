# SPDX-License-Identifier: Apache-2.0
"""Whether a network fits a chip, before any image of it is read."""

from dataclasses import replace

import numpy as np

from .assembly.fit import core_budget
from .errors import CompileError, QuantizeError, larger_presets
from .frontend.compatibility import check_compatible
from .lowering.skip_buffers import buffer_skips
from .mapping.partition import partition
from .mapping.split import split_layers
from .pipeline import Compilation, run_stages
from .stages import Options

NOISE_IMAGES = 2


def try_fit(compilation: Compilation) -> CompileError | None:
    """Why the network does not fit the chip of the options; None where nothing speaks against it.

    ``compilation`` is one whose check has passed. Scales come from noise in the place of
    calibration images. What is said depends on sizes and weights, hardly on scales; so a network
    that fits here may still be refused: with its own scales for a shift or a range, or where it is
    placed for a table of destinations.
    """
    lowered = _lowered(compilation)
    return _try(lowered, compilation.options) if isinstance(lowered, Compilation) else lowered


def choose_preset(compilation: Compilation) -> tuple[str, CompileError | None]:
    """The first larger preset whose chip holds the network, and what the options' own chip lacks.

    The name is empty where the options' own chip holds it, and where no preset does.
    """
    lowered = _lowered(compilation)
    if not isinstance(lowered, Compilation):
        return "", lowered
    options = compilation.options
    problem = _try(lowered, options)
    if problem is not None:
        for name, params in larger_presets(options.params).items():
            if _try(lowered, replace(options, params=params)) is None:
                return name, problem
    return "", problem


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
        partition(network, params, core_budget(network, params, options.mesh, options.cores))
    except CompileError as error:
        return error
    return None
