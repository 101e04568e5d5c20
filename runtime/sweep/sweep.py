# SPDX-License-Identifier: Apache-2.0
"""All points of a sweep: measured where they are new, written as JSON, Markdown and a page."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemcore.files import write_whole
from stemcore.folders import results

from ..cluster.executors import NONE
from ..cluster.run import run_units
from ..cluster.units import plain_bytes
from ..progress import Progress
from ..report.figures import write_json
from ..report.names import run_name
from ..report.provenance import command_line, now, versions
from ..settings import Settings
from .axes import Choice
from .content import content_of
from .page import sweep_page
from .point import REFUSED, plain_settings, point_unit
from .tables import markdown

DEFAULT_IMAGES = 200
Say = Callable[[str], None]


@dataclass(frozen=True)
class Point:
    """Values of the options that differ, and what :func:`.point.measure_point` found."""

    choice: Mapping[str, str]
    figures: Mapping[str, Any]

    @property
    def refused(self) -> str | None:
        """Why the compiler refused it; None where it did not."""
        return self.figures.get(REFUSED)

    @property
    def label(self) -> str:
        """Its values, in the order of the options."""
        return (
            ", ".join(f"{name} {value}" for name, value in self.choice.items()) or "as by default"
        )


def sweep(
    base: Settings,
    settings: Sequence[tuple[Choice, Settings]],
    *,
    n_images: int = DEFAULT_IMAGES,
    cluster: str = NONE,
    say: Say = lambda line: None,
    progress: Callable[[int], Progress] | None = None,
) -> tuple[list[Point], Path]:
    """Measures every choice on the first ``n_images`` test images; returns points and folder.

    base : what all choices share
    settings : choices in order, with what they mean
    cluster : see :mod:`stemcore.runtime.cluster.executors`

    ``sweep.json``, ``sweep.md`` and ``sweep.html`` of the folder are written whole when all points
    are there. Raises ``ValueError`` where no point can be measured, and what reading the network
    or its data raises.
    """
    if n_images < 1:
        raise ValueError(f"IMAGES: must be 1 or more, got {n_images}")
    begun = {"command": command_line(), "started": now()}
    say(f"model        {base.model} on {base.data_shown}: {len(settings)} points")
    content = content_of(base, n_images)
    units = [point_unit(one, n_images, content) for _, one in settings]
    found = run_units(units, cluster=cluster, say=say, progress=progress)
    points = [
        Point(dict(choice), figures) for (choice, _), figures in zip(settings, found, strict=True)
    ]
    if all(point.refused for point in points):
        raise ValueError(f"sweep: one point must compile, none does; {points[0].refused}")
    folder = sweep_folder(base, settings)
    title = f"{base.model} on {base.data_shown}"
    document = {
        **begun,
        "versions": versions(),
        "settings": plain_settings(base),
        "images": n_images,
        "content": content,
        "points": [{"choice": dict(p.choice), **p.figures} for p in points],
    }
    write_json(folder / "sweep.json", document)
    write_whole(folder / "sweep.md", f"# {title}, {n_images} test images\n\n{markdown(points)}")
    write_whole(folder / "sweep.html", sweep_page(title, points, n_images))
    return points, folder


def sweep_folder(base: Settings, settings: Sequence[tuple[Choice, Settings]]) -> Path:
    """``sim_build/sweep/<name of the base>.<hash of the choices>``."""
    digest = hashlib.sha256(plain_bytes([list(choice) for choice, _ in settings])).hexdigest()[:8]
    return results() / "sweep" / f"{run_name(base)}.{digest}"
