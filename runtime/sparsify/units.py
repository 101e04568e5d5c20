# SPDX-License-Identifier: Apache-2.0
"""Units of a search: the candidates of one population, and one choice of tables for all.

A unit gets the compilation and its images as bytes, so that a worker needs none of the user's
files, and what was measured is found again whatever the search is called, how far it came, or which
budget it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.estimation.estimate import estimate
from stemcore.compiler.pipeline import Compilation, compile_network
from stemcore.compiler.sparsity.cycles import plain_times
from stemcore.compiler.sparsity.search import Candidate, Measurement, scheme_tables
from stemcore.compiler.sparsity.tables import apply_tables, find_tables

from ..cluster.packing import pack_compilation, pack_images, unpack_compilation, unpack_images
from ..cluster.units import Blobs, Unit
from .layer_times import layer_times
from .operation_counts import measure_choice


@dataclass(frozen=True)
class Images:
    """Integers (N, C, H, W) on the input's scale, and what a unit's name calls them."""

    name: str
    integers: NDArray[np.integer]

    @cached_property
    def packed(self) -> bytes:
        """As all units share them."""
        return pack_images(self.integers)


class Units:
    """Makes the units of one network, whose compilation has no tables."""

    def __init__(self, compilation: Compilation) -> None:
        self._packed = pack_compilation(compilation)

    def _blobs(self, images: Images) -> Blobs:
        return {"compilation": self._packed, "images": images.packed}

    def ranking(self, images: Images, scheme: str, population: str) -> Unit:
        """A unit for :func:`rank`."""
        return Unit(
            f"tables of scheme {scheme} for {population}, {images.name}",
            rank,
            {"scheme": scheme, "population": population},
            self._blobs(images),
        )

    def choice(self, images: Images, tables: Mapping[str, str]) -> Unit:
        """A unit for :func:`measure`."""
        text = ", ".join(f"{name} {table}" for name, table in tables.items()) or "no tables"
        return Unit(
            f"{text}, {images.name}", measure, {"tables": dict(tables)}, self._blobs(images)
        )


def rank(arguments: Mapping[str, Any], blobs: Blobs) -> list[dict[str, Any]]:
    """Candidates of one population, no table among them, each as :class:`Candidate`'s fields."""
    compilation = unpack_compilation(blobs["compilation"])
    # Tables are the torch model's layers'; what the cores need beside them passes values on.
    tables = scheme_tables(compilation.exact, arguments["scheme"])
    population = arguments["population"]
    measurement = Measurement(compilation.network, {population: tables[population]})
    return [asdict(found) for found in measurement.run(unpack_images(blobs["images"]))]


def candidates_of(found: Sequence[Sequence[Mapping[str, Any]]]) -> list[Candidate]:
    """Results of several :func:`rank`, in order, as candidates."""
    return [Candidate(**one) for some in found for one in some]


def measure(arguments: Mapping[str, Any], blobs: Blobs) -> dict[str, Any]:
    """Outputs (N, C, H, W) with these tables; SOPs, spikes and estimated cycles per image; and the
    times of the layers (:func:`stemcore.compiler.sparsity.cycles.plain_times`).

    The program is compiled anew for the spikes that the tables leave.
    """
    compilation = unpack_compilation(blobs["compilation"])
    choice, options = arguments["tables"], compilation.options
    seen = measure_choice(compilation, choice, unpack_images(blobs["images"]))
    network = apply_tables(compilation.network, find_tables(compilation.quantized, choice))
    columns, rows = options.mesh or (None, None)
    program = compile_network(
        network,
        options.params,
        columns=columns,
        rows=rows,
        cores=options.cores,
        activity=seen.activity,
    )
    estimated = estimate(program, seen.activity)
    return {
        "outputs": seen.outputs.tolist(),
        "sops": seen.sops,
        "spikes": seen.spikes,
        "cycles": estimated.interval,
        "times": plain_times(layer_times(network, seen.activity, estimated)),
    }
