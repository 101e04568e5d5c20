# SPDX-License-Identifier: Apache-2.0
"""`make sparsify`: a table for every layer, within a budget of accuracy, on training images alone.

Three sets of images that have nothing in common: calibration (the first training images), ranking
of the candidates (:mod:`stemcore.compiler.sparsity.search`), and validation of points on the
greedy path. Ranking and validation images are augmented copies
(:mod:`stemcore.runtime.sparsify.augmentation`). Chosen is the sparsest point whose predicted loss
of accuracy lies within the budget with one standard error to spare: another set of as many images
scatters by that much. Only then are test images looked at, once, to report what the choice costs.

What takes long are units (:mod:`.units`): an interrupted search goes on where it was, and workers
of a cluster share them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stemcore.compiler.errors import SparsifyError
from stemcore.compiler.sparsity.search import BUDGET, COSTS, SCHEMES, SOPS
from stemcore.compiler.sparsity.tables import NONE
from stemcore.models.data import CLASSIFICATION, HOLDS, SOURCES, Dataset

from ..cluster.executors import NONE as NO_CLUSTER
from ..prepare import prepare
from ..prepared import Prepared
from ..report.figures import write_json
from ..report.names import compile_folder, output_folder
from ..report.provenance import command_line, now, origin
from ..report.run_folder import RunFolder
from ..report.schema import AGREEMENT
from ..settings import Settings
from .pareto import Point, markdown, plot
from .points import SEEDS, Progresses, Say, Search
from .selection import select_points

# What a search leaves; the report says that the others are complete.
RESULTS = ("tables*.json", "pareto.svg", "pareto.md", "pareto.json")


@dataclasses.dataclass(frozen=True)
class _Written:
    """Points of all schemes in order, the network without tables, and the point that saves most."""

    points: Sequence[Point]
    base: Point
    best: Point


def sparsify(
    settings: Settings,
    *,
    budget: float = BUDGET,
    schemes: Sequence[str] = tuple(SCHEMES),
    cost: str = SOPS,
    cluster: str = NO_CLUSTER,
    say: Say = lambda line: None,
    progress: Progresses | None = None,
) -> tuple[dict[str, Any], Path]:
    """Searches every scheme, writes tables, Pareto table and plot; returns the report and folder.

    ``tables.json`` holds the scheme that saves most, ``tables-<scheme>.json`` each one. The folder
    is :func:`search_folder`; one search at a time writes to it, all of its files or none.

    cost : what is to be saved, synaptic operations or cycles (one of COSTS)
    cluster : where candidates and choices are measured, see
        :mod:`stemcore.runtime.cluster.executors`; the tables found do not depend on it
    """
    _check(settings, budget, schemes, cost)
    details = {"command": command_line(), "started": now()}
    folder = search_folder(settings, budget, schemes, cost)
    with RunFolder(folder, "search", RESULTS, say) as place:
        prepared = _prepared(settings, say)
        search = Search(prepared, say, cost, cluster, progress)
        report, written = _searched(settings, budget, schemes, search)
        report |= details | origin(prepared.module, prepared.dataset)
        _write(place.aside, report, written)
        place.publish()
    return report, folder


def search_folder(
    settings: Settings, budget: float, schemes: Sequence[str], cost: str = SOPS
) -> Path:
    """``sparsify`` in the folder of the settings, with a suffix for other budgets, schemes and
    costs."""
    parts = ["sparsify"]
    if budget != BUDGET:
        parts.append(f"budget{budget:g}")
    if set(schemes) != set(SCHEMES):
        parts += [scheme for scheme in SCHEMES if scheme in schemes]
    if cost != SOPS:
        parts.append(cost)
    return output_folder(settings) / "-".join(parts)


def _check(settings: Settings, budget: float, schemes: Sequence[str], cost: str) -> None:
    if settings.tables != NONE:
        raise SparsifyError("TABLES", "must be none: the search finds them")
    if not 0 < budget <= 100:
        raise SparsifyError("BUDGET", f"must lie in 0..100 percentage points, got {budget}")
    unknown = sorted(set(schemes) - set(SCHEMES))
    if unknown or not schemes:
        raise SparsifyError("SCHEME", f"must be of {', '.join(SCHEMES)}, got {unknown}")
    if cost not in COSTS:
        raise SparsifyError("COST", f"must be one of {', '.join(COSTS)}, got {cost!r}")
    task = SOURCES[settings.dataset].task
    if task != CLASSIFICATION:
        raise SparsifyError(
            settings.data_shown,
            f"must have {HOLDS[CLASSIFICATION]}, has {HOLDS[task]}",
            "choose a data set of labels",
        )


def _prepared(settings: Settings, say: Say) -> Prepared:
    say(f"model        {settings.model} on {settings.data_shown}: capture, calibrate, quantize")
    prepared = prepare(settings, folder=compile_folder(settings), say=say)
    dataset = prepared.dataset
    if not isinstance(dataset, Dataset) or dataset.metric == AGREEMENT:
        raise SparsifyError(
            settings.data_shown,
            "must have a label for each image, of as many classes as the network has outputs",
            "choose another data set",
        )
    if dataset.train_images.dtype != np.uint8:
        raise SparsifyError(
            settings.data_shown, "must be bytes of pictures, which the search makes harder"
        )
    return prepared


def _searched(
    settings: Settings, budget: float, schemes: Sequence[str], search: Search
) -> tuple[dict[str, Any], "_Written"]:
    points = select_points(search.paths(schemes), budget / 100)
    chosen = [point for point in points if point.chosen]
    best = min(chosen, key=lambda point: float(getattr(point, search.cost)))
    search.say("test         the choices on test images, once")
    before, *after = search.on_test([{}, *(point.tables for point in chosen)])
    report = {
        "model": settings.model,
        "dataset": settings.data_shown,
        "data": search.dataset.provenance,
        "settings": {name: _plain(value) for name, value in vars(settings).items()},
        "seeds": SEEDS,
        "budget_points": budget,
        "cost": search.cost,
        "images": {
            "ranking": [search.ranking.start, search.ranking.stop],
            "validation": [search.validation.start, search.validation.stop],
            "strength": search.strength,
            "test": len(search.dataset.test_labels),
        },
        "none": {**dataclasses.asdict(search.base), "test": before},
        "chosen": {
            point.scheme: {**dataclasses.asdict(point), "test": test}
            for point, test in zip(chosen, after, strict=True)
        },
        "best": best.scheme,
        "points": [dataclasses.asdict(point) for point in points],
    }
    return report, _Written(points, search.base, best)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _write(folder: Path, report: dict[str, Any], written: "_Written") -> None:
    points, base = written.points, written.base
    write_json(folder / "pareto.json", report)
    title = f"{report['model']} on {report['dataset']}: accuracy on harder training images"
    (folder / "pareto.svg").write_text(plot(points, base, title))
    (folder / "pareto.md").write_text(
        f"# {title}\n\nBudget {report['budget_points']} points. {report['data']}\n\n"
        f"{markdown(points, base)}\n## On {report['images']['test']} test images\n\n"
        f"{choices_on_test(report)}"
    )
    for point in points:
        if point.chosen:
            write_json(folder / f"tables-{point.scheme}.json", point.tables)
    write_json(folder / "tables.json", written.best.tables)


def choices_on_test(report: Mapping[str, Any]) -> str:
    """The choices on test images, as Markdown."""
    none = report["none"]["test"]
    lines = [
        "| scheme | accuracy | points lost | standard error | SOPs | spikes | cycles (estimated) |",
        "|---|---|---|---|---|---|---|",
        (
            f"| none | {100 * none['accuracy']:.2f} % | | | {none['sops'] / 1e6:.2f}M | "
            f"{none['spikes'] / 1e3:.1f}k | {none['cycles']:,.0f} |"
        ),
    ]
    for scheme, entry in report["chosen"].items():
        test = entry["test"]
        lines.append(
            f"| {scheme} | {100 * test['accuracy']:.2f} % | "
            f"{100 * (none['accuracy'] - test['accuracy']):+.2f} | "
            f"{100 * test['loss_error']:.2f} | "
            f"{100 * (test['sops'] / none['sops'] - 1):+.1f} % | "
            f"{100 * (test['spikes'] / none['spikes'] - 1):+.1f} % | "
            f"{100 * (test['cycles'] / none['cycles'] - 1):+.1f} % |"
        )
    return "\n".join(lines) + "\n"
