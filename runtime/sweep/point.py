# SPDX-License-Identifier: Apache-2.0
"""One point of a sweep: a network with its settings, measured in golden, estimated on the chip."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from stemcore.compiler.errors import CompileError
from stemcore.compiler.stages import CALIBRATION_IMAGES

from ..chip_estimate import ChipEstimate, estimate_chip
from ..cluster.units import Blobs, Unit
from ..own_model import is_own_model
from ..prepare import prepare
from ..prepared import Prepared, finish
from ..report.accuracy import measure, metric_of
from ..report.energy import paper_energy
from ..report.evaluation import real_outputs
from ..report.names import compile_folder
from ..report.schema import ACCURACY, AGREEMENT
from ..settings import Settings
from ..sparsify.operation_counts import run_with_counts
from .content import TABLES, check_content, of_tables

REFUSED = "refused"  # in a result: why the compiler took no such network
_PATHS = ("data", "checkpoint")


def point_unit(settings: Settings, n_images: int, content: Mapping[str, Any]) -> Unit:
    """The unit that measures ``settings`` on the first ``n_images`` test images.

    content : of :func:`stemcore.runtime.sweep.content.content_of`
    """
    return Unit(
        name=f"{settings.model} on {settings.data_shown}",
        function=measure_point,
        arguments={
            "settings": plain_settings(settings),
            "images": n_images,
            "content": {**content, TABLES: of_tables(settings.tables)},
        },
    )


def plain_settings(settings: Settings) -> dict[str, Any]:
    """Settings as JSON, with paths that mean the same in any folder."""
    plain = asdict(settings)
    for name in _PATHS:
        plain[name] = None if plain[name] is None else str(plain[name].absolute())
    if is_own_model(settings.model):
        plain["model"] = str(Path(settings.model).absolute())
    if not isinstance(of_tables(settings.tables), str):
        plain["tables"] = str(Path(settings.tables).absolute())
    return plain


def settings_of(plain: Mapping[str, Any]) -> Settings:
    """The inverse of :func:`plain_settings`."""
    found = dict(plain)
    for name in _PATHS:
        found[name] = None if found[name] is None else Path(found[name])
    found["mesh"] = None if found["mesh"] is None else tuple(found["mesh"])
    return Settings(**found)


def measure_point(arguments: Mapping[str, Any], blobs: Blobs) -> dict[str, Any]:
    """The function of :func:`point_unit`; a network that cannot be compiled so says why.

    The accuracy is that of the integers that the cores compute, in their integration mode. SOPs,
    spikes and energy rest on the same images, exactly; cycles are the estimate for their mean.
    """
    settings, n_images = settings_of(arguments["settings"]), arguments["images"]
    try:
        prepared = prepare(
            settings,
            n_train=CALIBRATION_IMAGES,
            n_test=n_images,
            folder=compile_folder(settings),
        )
        check_content(prepared, n_images, arguments["content"])
        compilation = finish(prepared)
    except CompileError as error:
        return {REFUSED: " ".join(str(error).split())}
    network = prepared.network
    # What the host does to images is in prepared.integers.
    seen = run_with_counts(network, prepared.integers, prepared.params.acc_width)
    score = measure(prepared.dataset, real_outputs(network, seen.outputs))
    return {
        "metric": metric_of(prepared.dataset),
        "accuracy": score,
        "accuracy_error": _error(prepared, score, n_images),
        "images": n_images,
        "weights": prepared.weights,
        "chip": prepared.preset,
        **_figures(estimate_chip(compilation.program, seen.activity)),
    }


def _error(prepared: Prepared, score: float, n_images: int) -> float | None:
    """Standard error of a share of right answers; other figures are no such share."""
    if metric_of(prepared.dataset) not in (ACCURACY, AGREEMENT):
        return None
    return float(np.sqrt(score * (1 - score) / n_images))


def _figures(chip: ChipEstimate) -> dict[str, Any]:
    paper = paper_energy(chip.sops, chip.macs)
    return {
        "sops": chip.sops,
        "spikes": chip.spikes,
        "latency": chip.latency,
        "interval": chip.interval,
        "energy_pj": chip.energy_pj,
        "ann_energy_pj": chip.ann_energy_pj,
        "additions_pj": paper["energy_pj_per_image"],
        "cores": chip.n_cores,
        "mesh": list(chip.mesh),
        "neurons": chip.neurons,
        "parameters": chip.parameters,
        "macs": chip.macs,
    }
