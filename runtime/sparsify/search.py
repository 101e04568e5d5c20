# SPDX-License-Identifier: Apache-2.0
"""`make sparsify`: a table for every layer, within a budget of accuracy, on training images alone.

Three sets of images that have nothing in common: calibration (the first training images), ranking
of the candidates (:mod:`stemcore.compiler.sparsity.search`), and validation of points on the
greedy path. Ranking and validation images are augmented copies
(:mod:`stemcore.runtime.sparsify.augmentation`). Chosen is the sparsest point whose predicted loss
of accuracy lies within the budget with one standard error to spare: another set of as many images
scatters by that much. Only then are test images looked at, once, to report what the choice costs.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.errors import SparsifyError
from stemcore.compiler.estimation.estimate import estimate
from stemcore.compiler.pipeline import compile_network
from stemcore.compiler.sparsity.search import (
    BUDGET,
    SCHEMES,
    Measurement,
    divergence,
    greedy_path,
    scheme_tables,
)
from stemcore.compiler.sparsity.tables import NONE, apply_tables, find_tables
from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.golden.network.forward import Forward
from stemcore.models.data import CLASSIFICATION, HOLDS, SOURCES, Dataset

from ..prepare import prepare
from ..prepared import Prepared
from ..report.accuracy import predictions
from ..report.figures import write_json
from ..report.names import compile_folder, output_folder
from ..report.provenance import command_line, now, origin
from ..report.run_folder import RunFolder
from ..report.schema import AGREEMENT
from ..settings import Settings
from .augmentation import augmented_images, find_strength
from .operation_counts import Measured, measure_choice
from .pareto import Point, markdown, plot
from .selection import SchemePath, select_points

RANKING_IMAGES, VALIDATION_IMAGES = 500, 5000
STRENGTH_IMAGES = 500
SEEDS = {"ranking": 1, "validation": 2}

# What a search leaves; the report says that the others are complete.
RESULTS = ("tables*.json", "pareto.svg", "pareto.md", "pareto.json")

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class _Written:
    """Points of all schemes in order, the network without tables, and the point that saves most."""

    points: Sequence[Point]
    base: Point
    best: Point


class Search:
    """The images, the network without tables on them, and how choices of tables fare on them."""

    def __init__(self, prepared: Prepared, say: Say):
        self.prepared, self.say = prepared, say
        self.network, self.acc_width = prepared.network, prepared.params.acc_width
        assert isinstance(prepared.dataset, Dataset)
        self.dataset = dataset = prepared.dataset
        n_free = len(dataset.train_images) - CALIBRATION_IMAGES
        if n_free < 100:
            raise SparsifyError(
                "sparsify",
                f"{CALIBRATION_IMAGES} training images calibrate and 100 more must "
                f"be there to search with, got {max(0, n_free)}",
                "use a larger data set",
            )
        n_validation = min(VALIDATION_IMAGES, n_free * 2 // 3)
        n_ranking = min(RANKING_IMAGES, n_free - n_validation)
        end = len(dataset.train_images)
        self.ranking = slice(end - n_validation - n_ranking, end - n_validation)
        self.validation = slice(end - n_validation, end)
        self.strength = find_strength(self._accuracy)
        self.integers, self.labels = self._augmented(
            "validation", self.validation, VALIDATION_IMAGES
        )
        self.plain = measure_choice(prepared, {}, self.integers)
        self.base = self._point(NONE, {}, self.plain)
        say(
            f"images       {RANKING_IMAGES} copies of {n_ranking} to rank, {VALIDATION_IMAGES} of "
            f"{n_validation} to validate, made harder ({self.strength:.2f}): "
            f"{100 * self.base.accuracy:.2f} % right"
        )

    def _augmented(
        self, use: str, part: slice, n: int, strength: float | None = None
    ) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
        """``n`` images and labels; where there are fewer, several copies of each, all different."""
        data = self.dataset
        index = np.resize(np.arange(part.start, part.stop), n)
        strength = self.strength if strength is None else strength
        images = augmented_images(data.train_images[index], strength, SEEDS[use])
        return self.prepared.input_map.codes_of_bytes(images), data.train_labels[index]

    def _accuracy(self, strength: float) -> float:
        integers, labels = self._augmented("ranking", self.ranking, STRENGTH_IMAGES, strength)
        output = self.network.output.name
        values = Forward(self.network, acc_width=self.acc_width).run(
            integers.astype(np.int64), keep={output}
        )
        return float((predictions(values[output]) == labels).mean())

    def path(self, scheme: str) -> SchemePath:
        """A scheme's greedy path, no point of it measured yet."""
        self.say(f"rank         candidates of scheme {scheme}, one at a time")
        # Tables are the torch model's layers'; what the cores need beside them passes values on.
        tables = scheme_tables(self.prepared.exact, scheme)
        integers, _ = self._augmented("ranking", self.ranking, RANKING_IMAGES)
        candidates = Measurement(self.network, tables).run(integers.astype(np.int64))
        return SchemePath(scheme, greedy_path(candidates), self.base, self.measure)

    def measure(self, scheme: str, choice: dict[str, str]) -> Point:
        """A choice of tables on the validation images."""
        point = self._point(scheme, choice, measure_choice(self.prepared, choice, self.integers))
        self.say(
            f"  {scheme:<8} {100 * point.accuracy:.2f} %, SOPs "
            f"{100 * (point.sops / self.base.sops - 1):+.1f} %"
        )
        return point

    def _divergence(self, seen: Measured) -> float:
        scale = self.network.scales[self.network.output.name]
        return float(divergence(self.plain.outputs, seen.outputs, scale).mean())

    def _point(self, scheme: str, choice: dict[str, str], seen: Measured) -> Point:
        right = seen.right(self.labels)
        change = right.astype(float) - self.plain.right(self.labels)
        tables = find_tables(self.prepared.quantized.network, choice)
        settings = self.prepared.settings
        columns, rows = settings.mesh or (None, None)
        program = compile_network(
            apply_tables(self.network, tables),
            self.prepared.params,
            columns=columns,
            rows=rows,
            cores=settings.cores,
            activity=seen.activity,
        )
        return Point(
            scheme,
            choice,
            float(right.mean()),
            float(-change.mean()),
            _standard_error(change),
            self._divergence(seen),
            seen.sops,
            seen.spikes,
            estimate(program, seen.activity).interval,
        )


def sparsify(
    settings: Settings,
    *,
    budget: float = BUDGET,
    schemes: Sequence[str] = tuple(SCHEMES),
    say: Say = lambda line: None,
) -> tuple[dict[str, Any], Path]:
    """Searches every scheme, writes tables, Pareto table and plot; returns the report and folder.

    ``tables.json`` holds the scheme that saves most, ``tables-<scheme>.json`` each one. The folder
    is :func:`search_folder`; one search at a time writes to it, all of its files or none.
    """
    _check(settings, budget, schemes)
    details = {"command": command_line(), "started": now()}
    folder = search_folder(settings, budget, schemes)
    with RunFolder(folder, "search", RESULTS, say) as place:
        prepared, report, written = _searched(settings, budget, schemes, say)
        report |= details | origin(prepared.module, prepared.dataset)
        _write(place.aside, report, written)
        place.publish()
    return report, folder


def search_folder(settings: Settings, budget: float, schemes: Sequence[str]) -> Path:
    """``sparsify`` in the folder of the settings, with a suffix for other budgets and schemes."""
    parts = ["sparsify"]
    if budget != BUDGET:
        parts.append(f"budget{budget:g}")
    if set(schemes) != set(SCHEMES):
        parts += [scheme for scheme in SCHEMES if scheme in schemes]
    return output_folder(settings) / "-".join(parts)


def _check(settings: Settings, budget: float, schemes: Sequence[str]) -> None:
    if settings.tables != NONE:
        raise SparsifyError("TABLES", "must be none: the search finds them")
    if not 0 < budget <= 100:
        raise SparsifyError("BUDGET", f"must lie in 0..100 percentage points, got {budget}")
    unknown = sorted(set(schemes) - set(SCHEMES))
    if unknown or not schemes:
        raise SparsifyError("SCHEME", f"must be of {', '.join(SCHEMES)}, got {unknown}")
    task = SOURCES[settings.dataset].task
    if task != CLASSIFICATION:
        raise SparsifyError(
            settings.data_shown,
            f"must have {HOLDS[CLASSIFICATION]}, has {HOLDS[task]}",
            "choose a data set of labels",
        )


def _searched(
    settings: Settings, budget: float, schemes: Sequence[str], say: Say
) -> tuple[Prepared, dict[str, Any], "_Written"]:
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
    search = Search(prepared, say)
    points = select_points([search.path(scheme) for scheme in schemes], budget / 100)
    chosen = [point for point in points if point.chosen]
    best = min(chosen, key=lambda point: point.sops)
    say("test         the choices on test images, once")
    integers, labels = prepared.integers, search.dataset.test_labels
    before = measure_choice(prepared, {}, integers)
    report = {
        "model": settings.model,
        "dataset": settings.data_shown,
        "data": prepared.dataset.provenance,
        "settings": {name: _plain(value) for name, value in vars(settings).items()},
        "seeds": SEEDS,
        "budget_points": budget,
        "images": {
            "ranking": [search.ranking.start, search.ranking.stop],
            "validation": [search.validation.start, search.validation.stop],
            "strength": search.strength,
            "test": len(integers),
        },
        "none": {**dataclasses.asdict(search.base), "test": _on_test(before, before, labels)},
        "chosen": {
            point.scheme: {
                **dataclasses.asdict(point),
                "test": _on_test(measure_choice(prepared, point.tables, integers), before, labels),
            }
            for point in chosen
        },
        "best": best.scheme,
        "points": [dataclasses.asdict(point) for point in points],
    }
    return prepared, report, _Written(points, search.base, best)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _standard_error(change: NDArray[np.float64]) -> float:
    """Of the mean of what changed in each image."""
    return float(change.std() / np.sqrt(len(change)))


def _on_test(seen: Measured, before: Measured, labels: NDArray[np.int64]) -> dict[str, float]:
    """``loss_error``: standard error of the change of accuracy since ``before``, in 0..1."""
    right = seen.right(labels)
    return {
        "accuracy": float(right.mean()),
        "loss_error": _standard_error(right.astype(float) - before.right(labels)),
        "sops": seen.sops,
        "spikes": seen.spikes,
    }


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
        "| scheme | accuracy | points lost | standard error | SOPs | spikes |",
        "|---|---|---|---|---|---|",
        (
            f"| none | {100 * none['accuracy']:.2f} % | | | {none['sops'] / 1e6:.2f}M | "
            f"{none['spikes'] / 1e3:.1f}k |"
        ),
    ]
    for scheme, entry in report["chosen"].items():
        test = entry["test"]
        lines.append(
            f"| {scheme} | {100 * test['accuracy']:.2f} % | "
            f"{100 * (none['accuracy'] - test['accuracy']):+.2f} | "
            f"{100 * test['loss_error']:.2f} | "
            f"{100 * (test['sops'] / none['sops'] - 1):+.1f} % | "
            f"{100 * (test['spikes'] / none['spikes'] - 1):+.1f} % |"
        )
    return "\n".join(lines) + "\n"
