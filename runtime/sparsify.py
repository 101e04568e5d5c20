# SPDX-License-Identifier: Apache-2.0
"""`make sparsify`: a table for every layer, within a budget of accuracy, on training images alone.

Three sets of images that have nothing in common: calibration (the first training images), ranking
of the candidates (:mod:`compiler.sparsify_search`), and validation of points on the greedy path.
Ranking and validation images are harder copies (:mod:`runtime.harder`). The sparsest point whose
loss of accuracy, plus one standard error, lies within the budget is chosen; only then are test
images looked at, once, to report what the choice costs.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.backend import compile_network
from compiler.errors import SparsifyError
from compiler.estimate import estimate
from compiler.sparsify import NONE, apply_tables, find_tables
from compiler.sparsify_search import BUDGET, SCHEMES, Measurement, greedy_path, scheme_tables
from golden.forward import Forward, fan_out
from golden.network import INPUT, Network
from golden.stem import count_spikes
from golden.tables import apply
from models.data import DATASETS, DETECTION
from models.data.preprocess import to_integer_input

from .harder import find_strength, harder_images
from .measure import predictions
from .pareto import Point, markdown, plot
from .prepare import CALIBRATION_IMAGES, Prepared, Settings, prepare
from .report import write_json
from .sim import output_folder

RANKING_IMAGES, VALIDATION_IMAGES = 1000, 5000
STRENGTH_IMAGES = 500
N_POINTS = 8  # of each scheme's path, at least
CHUNK = 250
SEEDS = {"ranking": 1, "validation": 2}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """A network on images: outputs (N, C, H, W), mean spikes of every neuron, mean operations."""

    outputs: NDArray[np.int64]
    activity: dict[str, NDArray[np.float64]]
    layer_sops: dict[str, float]

    @property
    def sops(self) -> float:
        """Synaptic operations per image."""
        return sum(self.layer_sops.values())

    @property
    def spikes(self) -> float:
        """Per image, of the layers; those that the host fires are not counted."""
        return float(sum(a.sum() for name, a in self.activity.items() if name != INPUT))

    def right(self, labels: NDArray) -> NDArray[np.bool_]:
        """Which images' largest output is their label's."""
        return predictions(self.outputs) == labels


def run_counted(
    network: Network, integers: NDArray, acc_width: int,
    input_table: NDArray[np.int64] | None = None,
) -> Measured:  # fmt: skip
    """Runs the golden engine; ``input_table`` is what the host does to the images."""
    forward = Forward(network, acc_width=acc_width)
    total: dict[str, NDArray[np.int64]] = {}
    outputs = []
    for start in range(0, len(integers), CHUNK):
        images = integers[start : start + CHUNK].astype(np.int64)
        values = forward.run(images if input_table is None else apply(input_table, images))
        outputs.append(values[network.output.name])
        for name, array in values.items():
            spikes = count_spikes(array, network.population(name).bits).sum(axis=0)
            total[name] = total.get(name, 0) + spikes
    activity = {name: spikes / len(integers) for name, spikes in total.items()}
    sops = {
        layer.name: sum(
            float((activity[c.source].sum(axis=0) * fan_out(c, network.population(c.source))).sum())
            for c in layer.connections
        )
        for layer in network.layers
    }
    return Measured(np.concatenate(outputs), activity, sops)


class Search:
    """The images, the network without tables on them, and points of a scheme's path."""

    def __init__(self, prepared: Prepared, budget: float, say: Say):
        self.prepared, self.budget, self.say = prepared, budget / 100, say
        self.network, self.acc_width = prepared.network, prepared.params.acc_width
        dataset = prepared.dataset
        n_free = len(dataset.train_images) - CALIBRATION_IMAGES
        if n_free < 100:
            raise SparsifyError(
                "sparsify", f"{CALIBRATION_IMAGES} training images calibrate and 100 more must "
                f"be there to search with, got {max(0, n_free)}", "use a larger data set",
            )  # fmt: skip
        n_validation = min(VALIDATION_IMAGES, n_free * 2 // 3)
        n_ranking = min(RANKING_IMAGES, n_free - n_validation)
        end = len(dataset.train_images)
        self.ranking = slice(end - n_validation - n_ranking, end - n_validation)
        self.validation = slice(end - n_validation, end)
        self.strength = find_strength(self._accuracy)
        self.integers, self.labels = self._harder("validation", self.validation, VALIDATION_IMAGES)
        self.plain = self._measure({})
        self.base = self._point(NONE, {}, self.plain)
        say(
            f"images       {RANKING_IMAGES} copies of {n_ranking} to rank, {VALIDATION_IMAGES} of "
            f"{n_validation} to validate, made harder ({self.strength:.2f}): "
            f"{100 * self.base.accuracy:.2f} % right"
        )

    def _harder(
        self, use: str, part: slice, n: int, strength: float | None = None
    ) -> tuple[NDArray, NDArray]:
        """``n`` images and labels; where there are fewer, several copies of each, all different."""
        data = self.prepared.dataset
        index = np.resize(np.arange(part.start, part.stop), n)
        strength = self.strength if strength is None else strength
        images = harder_images(data.train_images[index], strength, SEEDS[use])
        return to_integer_input(images), data.train_labels[index]

    def _accuracy(self, strength: float) -> float:
        integers, labels = self._harder("ranking", self.ranking, STRENGTH_IMAGES, strength)
        output = self.network.output.name
        values = Forward(self.network, acc_width=self.acc_width).run(
            integers.astype(np.int64), keep={output}
        )
        return float((predictions(values[output]) == labels).mean())

    def _measure(self, choice: Mapping[str, str]) -> Measured:
        return measure_choice(self.prepared, choice, self.integers)

    def _point(self, scheme: str, choice: dict[str, str], seen: Measured) -> Point:
        right = seen.right(self.labels)
        change = right.astype(float) - self.plain.right(self.labels)
        tables = find_tables(self.prepared.quantized.network, choice)
        settings = self.prepared.settings
        columns, rows = settings.mesh or (None, None)
        program = compile_network(
            apply_tables(self.network, tables), self.prepared.params, columns=columns, rows=rows,
            cores=settings.cores, activity=seen.activity,
        )  # fmt: skip
        return Point(
            scheme, choice, float(right.mean()), float(-change.mean()),
            float(change.std() / np.sqrt(len(change))), seen.sops, seen.spikes,
            estimate(program, seen.activity).interval,
        )  # fmt: skip

    def run(self, scheme: str) -> list[Point]:
        """Points of a scheme's path, dense to sparse; one of them is chosen."""
        self.say(f"rank         candidates of scheme {scheme}, one at a time")
        measurement = Measurement(self.network, scheme_tables(self.network, scheme))
        integers, _ = self._harder("ranking", self.ranking, RANKING_IMAGES)
        path = greedy_path(measurement.run(integers.astype(np.int64)))
        points: dict[int, Point] = {0: self.base}

        def fits(index: int) -> bool:
            if index not in points:
                points[index] = self._point(scheme, path[index], self._measure(path[index]))
                p = points[index]
                self.say(f"  {index:3d} of {len(path) - 1}  {100 * p.accuracy:.2f} %, SOPs "
                         f"{100 * (p.sops / self.base.sops - 1):+.1f} %")  # fmt: skip
            return points[index].lost + points[index].error <= self.budget

        chosen = last_that_fits(fits, len(path))
        for index in np.linspace(0, min(len(path) - 1, chosen * 5 // 4), N_POINTS).astype(int):
            fits(int(index))
        points[chosen] = dataclasses.replace(points[chosen], scheme=scheme, chosen=True)
        return [points[i] for i in sorted(points) if i or chosen == 0]


def measure_choice(prepared: Prepared, choice: Mapping[str, str], integers: NDArray) -> Measured:
    """The network with these tables on images that no table has touched."""
    tables = find_tables(prepared.quantized.network, choice)
    network = apply_tables(prepared.network, tables)
    return run_counted(network, integers, prepared.params.acc_width, tables.get(INPUT))


def last_that_fits(fits: Callable[[int], bool], n: int) -> int:
    """Largest index of 0..n-1 for which ``fits`` holds, by bisection; 0 always does."""
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def sparsify(
    settings: Settings, *, budget: float = BUDGET, schemes: Sequence[str] = tuple(SCHEMES),
    say: Say = lambda line: None,
) -> tuple[dict[str, Any], Path]:  # fmt: skip
    """Searches every scheme, writes tables, Pareto table and plot; returns the report and folder.

    ``tables.json`` holds the scheme that saves most, ``tables-<scheme>.json`` each one.
    """
    if settings.tables != NONE:
        raise SparsifyError("TABLES", "must be none: the search finds them")
    if not 0 < budget <= 100:
        raise SparsifyError("BUDGET", f"must lie in 0..100 percentage points, got {budget}")
    unknown = sorted(set(schemes) - set(SCHEMES))
    if unknown or not schemes:
        raise SparsifyError("SCHEME", f"must be of {', '.join(SCHEMES)}, got {unknown}")
    say(f"model        {settings.model} on {settings.dataset}: capture, calibrate, quantize")
    if DATASETS[settings.dataset].task == DETECTION:
        raise SparsifyError(
            settings.dataset, "must have labels, has boxes", "choose a data set of labels"
        )
    prepared = prepare(settings)
    search = Search(prepared, budget, say)
    points = [point for scheme in schemes for point in search.run(scheme)]
    chosen = [point for point in points if point.chosen]
    best = min(chosen, key=lambda point: point.sops)
    say("test         the choices on test images, once")
    integers, labels = prepared.integers, prepared.dataset.test_labels
    before = measure_choice(prepared, {}, integers)
    report = {
        "model": settings.model,
        "dataset": settings.dataset,
        "data": prepared.dataset.provenance,
        "budget_points": budget,
        "images": {
            "ranking": [search.ranking.start, search.ranking.stop],
            "validation": [search.validation.start, search.validation.stop],
            "strength": search.strength,
            "test": len(integers),
        },
        "none": {**dataclasses.asdict(search.base), "test": _on_test(before, labels)},
        "chosen": {
            point.scheme: {
                **dataclasses.asdict(point),
                "test": _on_test(measure_choice(prepared, point.tables, integers), labels),
            }
            for point in chosen
        },
        "best": best.scheme,
        "points": [dataclasses.asdict(point) for point in points],
    }
    folder = output_folder(settings) / "sparsify"
    _write(folder, report, points, search.base, best)
    return report, folder


def _on_test(seen: Measured, labels: NDArray) -> dict[str, float]:
    return {"accuracy": float(seen.right(labels).mean()), "sops": seen.sops, "spikes": seen.spikes}


def _write(
    folder: Path, report: dict[str, Any], points: Sequence[Point], base: Point, best: Point
) -> None:
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
    write_json(folder / "tables.json", best.tables)


def choices_on_test(report: Mapping[str, Any]) -> str:
    """The choices on test images, as Markdown."""
    none = report["none"]["test"]
    lines = [
        "| scheme | accuracy | points lost | SOPs | spikes |",
        "|---|---|---|---|---|",
        (
            f"| none | {100 * none['accuracy']:.2f} % | | {none['sops'] / 1e6:.2f}M | "
            f"{none['spikes'] / 1e3:.1f}k |"
        ),
    ]
    for scheme, entry in report["chosen"].items():
        test = entry["test"]
        lines.append(
            f"| {scheme} | {100 * test['accuracy']:.2f} % | "
            f"{100 * (none['accuracy'] - test['accuracy']):+.2f} | "
            f"{100 * (test['sops'] / none['sops'] - 1):+.1f} % | "
            f"{100 * (test['spikes'] / none['spikes'] - 1):+.1f} % |"
        )
    return "\n".join(lines) + "\n"
