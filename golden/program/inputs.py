# SPDX-License-Identifier: Apache-2.0
"""The images of a program as values of each population whose spikes the host sends."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..network.forward import check_images
from ..network.results import part
from .program import Program


def input_values(program: Program, images: ArrayLike) -> list[NDArray[np.integer]]:
    """Values (N, C, H, W) of each of ``program.inputs``; ``ValueError`` for what they cannot be.

    ``images`` (N, \\*program.input_shape).
    """
    values = split_inputs(program, np.asarray(images))
    return [check_images(v, p) for v, p in zip(values, program.inputs, strict=True)]


def split_inputs(program: Program, images: NDArray[np.integer]) -> list[NDArray[np.integer]]:
    """Values of each of ``program.inputs``, whatever they are; ``ValueError`` for other shapes."""
    if not program.replayed:
        return [images]
    if images.shape[1:] != program.input_shape:
        raise ValueError(
            f"images: must have shape (N, {', '.join(map(str, program.input_shape))}), the values "
            f"of {', '.join(p.name for p in program.inputs)}, got {images.shape}"
        )
    shapes = {population.name: population.shape for population in program.inputs}
    return [part(images, shapes, population.name) for population in program.inputs]
