# SPDX-License-Identifier: Apache-2.0
"""What a search measures: images of its own, the network without tables on them, and points."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.errors import SparsifyError
from stemcore.compiler.sparsity.cycles import cycles_path, times_of
from stemcore.compiler.sparsity.search import (
    COSTS,
    CYCLES,
    SOPS,
    divergence,
    greedy_path,
    scheme_tables,
)
from stemcore.compiler.sparsity.tables import NONE
from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.golden.network.forward import Forward
from stemcore.models.data import Dataset

from ..cluster.executors import NONE as NO_CLUSTER
from ..cluster.run import run_units
from ..cluster.units import Unit
from ..prepared import Prepared
from ..progress import Progress
from ..report.accuracy import predictions
from .augmentation import augmented_images, find_strength
from .pareto import Point
from .selection import SchemePath
from .units import Images, Units, candidates_of

RANKING_IMAGES, VALIDATION_IMAGES = 500, 5000
STRENGTH_IMAGES = 500
SEEDS = {"ranking": 1, "validation": 2}

Say = Callable[[str], None]
Progresses = Callable[[int], Progress]


class Search:
    """The images, the network without tables on them, and how choices of tables fare on them.

    cost : what tables are to save, one of COSTS
    cluster, progress : of :func:`stemcore.runtime.cluster.run.run_units`
    """

    def __init__(
        self,
        prepared: Prepared,
        say: Say,
        cost: str = SOPS,
        cluster: str = NO_CLUSTER,
        progress: Progresses | None = None,
    ):
        self.prepared, self.say, self.cost = prepared, say, cost
        self._cluster, self._progress = cluster, progress
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
        integers, self.labels = self._augmented("validation", self.validation, VALIDATION_IMAGES)
        self.units, self.images = Units(prepared.compilation), Images("validation", integers)
        self.plain = self.run([self.units.choice(self.images, {})])[0]
        self.base = self._point(NONE, {}, self.plain)
        say(
            f"images       {RANKING_IMAGES} copies of {n_ranking} to rank, {VALIDATION_IMAGES} of "
            f"{n_validation} to validate, made harder ({self.strength:.2f}): "
            f"{100 * self.base.accuracy:.2f} % right"
        )

    def run(self, units: Sequence[Unit]) -> list[Any]:
        """Results of units; a single one is run here, since workers would only wait for it."""
        cluster = self._cluster if len(units) > 1 else NO_CLUSTER
        return run_units(
            units,
            cluster=cluster,
            say=self.say if cluster != NO_CLUSTER else lambda line: None,
            progress=self._progress if len(units) > 1 else None,
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

    def paths(self, schemes: Sequence[str]) -> list[SchemePath]:
        """Every scheme's greedy path, no point of it measured yet."""
        integers, _ = self._augmented("ranking", self.ranking, RANKING_IMAGES)
        images = Images("ranking", integers)
        populations = {
            scheme: [name for name, of in scheme_tables(self.prepared.exact, scheme).items() if of]
            for scheme in schemes
        }
        self.say(f"rank         candidates of scheme {', '.join(schemes)}, one at a time")
        found = iter(
            self.run(
                [
                    self.units.ranking(images, scheme, name)
                    for scheme, names in populations.items()
                    for name in names
                ]
            )
        )
        paths = []
        for scheme, names in populations.items():
            candidates = candidates_of([next(found) for _ in names])
            choices = (
                cycles_path(candidates, self.network, times_of(self.plain["times"]))
                if self.cost == CYCLES
                else greedy_path(candidates)
            )
            paths.append(SchemePath(scheme, choices, self.base, self.measure, self.prefetch))
        return paths

    def prefetch(self, choices: Sequence[dict[str, str]]) -> None:
        """Lets workers measure choices that are likely to be asked for; without any, nothing."""
        if self._cluster != NO_CLUSTER:
            self.run([self.units.choice(self.images, choice) for choice in choices])

    def measure(self, scheme: str, choice: dict[str, str]) -> Point:
        """A choice of tables on the validation images."""
        point = self._point(scheme, choice, self.run([self.units.choice(self.images, choice)])[0])
        saved = getattr(point, self.cost) / getattr(self.base, self.cost) - 1
        self.say(
            f"  {scheme:<8} {100 * point.accuracy:.2f} %, {COSTS[self.cost]} {100 * saved:+.1f} %"
        )
        return point

    def _point(self, scheme: str, choice: dict[str, str], seen: Mapping[str, Any]) -> Point:
        right = right_of(seen, self.labels)
        change = right.astype(float) - right_of(self.plain, self.labels)
        scale = self.network.scales[self.network.output.name]
        moved = divergence(self.plain["outputs"], seen["outputs"], scale)
        return Point(
            scheme,
            choice,
            float(right.mean()),
            float(-change.mean()),
            standard_error(change),
            float(moved.mean()),
            seen["sops"],
            seen["spikes"],
            seen["cycles"],
        )

    def on_test(self, choices: Sequence[dict[str, str]]) -> list[dict[str, float]]:
        """Accuracy, its change's standard error, SOPs and spikes of choices on all test images; the
        first is what the others are compared with."""
        images = Images("test", self.prepared.integers)
        found = self.run([self.units.choice(images, choice) for choice in choices])
        labels = self.dataset.test_labels
        before = right_of(found[0], labels)
        return [
            {
                "accuracy": float(right_of(seen, labels).mean()),
                "loss_error": standard_error(right_of(seen, labels).astype(float) - before),
                "sops": seen["sops"],
                "spikes": seen["spikes"],
                "cycles": seen["cycles"],
            }
            for seen in found
        ]


def standard_error(change: NDArray[np.float64]) -> float:
    """Of the mean of what changed in each image."""
    return float(change.std() / np.sqrt(len(change)))


def right_of(seen: Mapping[str, Any], labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which images' largest output is their label's, of a result of :func:`.units.measure`."""
    is_right: NDArray[np.bool_] = predictions(np.array(seen["outputs"])) == labels
    return is_right
