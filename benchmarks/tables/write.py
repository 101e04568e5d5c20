# SPDX-License-Identifier: Apache-2.0
"""``stemcore tables``: writes ``sim_build/tables/tables.md`` and ``tables.json``."""

from collections.abc import Sequence
from pathlib import Path

from stemcore.files import write_whole
from stemcore.models.errors import DataError
from stemcore.models.registry import MODELS, get_model
from stemcore.nearest import did_you_mean
from stemcore.runtime.report.figures import write_json

from . import sizes
from .build import TABLES, Table
from .page import tables_page
from .subjects import IMAGES, Subject, find_subjects, tables_folder


def usable(subjects: list[Subject]) -> tuple[list[Subject], list[str]]:
    """Networks whose data are there, and a line for each of the others."""
    there, missing = [], []
    for subject in subjects:
        try:
            print(f"{subject.name}: {subject.network.name}", flush=True)
        except DataError as error:
            missing.append(f"{subject.name}: {error}")
        else:
            there.append(subject)
    return there, missing


def text_of(tables: list[Table], subjects: list[Subject], missing: list[str]) -> str:
    """All tables as one Markdown document."""
    trained = {subject.model for subject in subjects}
    without = [name for name, spec in MODELS.items() if not spec.relu_model and name not in trained]
    lines = ["# Counterparts of the paper's tables", ""]
    lines += [
        f"* {s.name}: {s.plain()['images']} test images, {s.plain()['provenance']}"
        for s in subjects
    ]
    lines += [f"* left out, {line}" for line in missing]
    without = [name for name in without if name not in sizes.NETWORKS]
    if without:
        lines += [f"* without trained weights, so without rows: {', '.join(without)}"]
    return "\n".join(lines) + "\n\n" + "\n".join(table.to_markdown() for table in tables)


def _trained(models: Sequence[str] | None, n_images: int, data: Path | None) -> list[Subject]:
    """Networks with weights in the repository: all, or those named."""
    subjects = find_subjects(n_images, data)
    if not models:
        return subjects
    trained = {subject.model for subject in subjects}
    for name in models:
        if name not in trained and name not in sizes.NETWORKS:
            raise ValueError(
                f"model: must be a network with trained weights, one of "
                f"{', '.join(sorted(trained))}, got {name!r}{did_you_mean(name, trained)}; of "
                "another one name the weights with --checkpoint"
            )
    return [subject for subject in subjects if subject.model in models]


def _given(
    models: Sequence[str] | None, n_images: int, data: Path | None, dataset: str, checkpoint: Path
) -> Subject:
    """The network that weights of the user's own belong to."""
    if len(models or ()) != 1:
        raise ValueError(
            f"model: must be one name beside a checkpoint, got {', '.join(models or ()) or 'none'}"
        )
    (model,) = models or ()
    get_model(model).check_task(dataset)
    return Subject(model, dataset, n_images, data, checkpoint)


def write_tables(
    *,
    only: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    n_images: int = IMAGES,
    data: Path | None = None,
    dataset: str | None = None,
    checkpoint: Path | None = None,
) -> Path:
    """Measures and writes; returns the Markdown file.

    only, models : numbers of tables and names of networks, all where empty
    n_images : test images at most
    data : folder of the data sets
    dataset, checkpoint : the one of ``models`` has these weights and is measured on this data set
    """
    if n_images < 1:
        raise ValueError(f"images: must be at least 1, got {n_images}")
    numbers = (*TABLES, sizes.NUMBER)
    unknown = [number for number in only or () if number not in numbers]
    if unknown:
        raise ValueError(f"only: must be of {', '.join(numbers)}, got {', '.join(unknown)}")
    if checkpoint is None and dataset is not None:
        raise ValueError(
            f"dataset: must come with --checkpoint, the weights that are measured on it, got "
            f"{dataset} alone; name both, or leave it out"
        )
    if checkpoint is None:
        subjects = _trained(models, n_images, data)
    else:
        subjects = [_given(models, n_images, data, dataset or "imagenet", checkpoint)]
    sized = [name for name in sizes.NETWORKS if checkpoint is None and name in (models or [name])]
    wanted = [number for number in only or numbers if number in TABLES]
    there, missing = usable(subjects) if wanted else ([], [])
    tables = []
    for number in wanted if there or not sized else ():
        print(f"table {number}", flush=True)
        tables.append(TABLES[number](there))
    if sized and sizes.NUMBER in (only or numbers):
        print(f"table {sizes.NUMBER}", flush=True)
        table, absent = sizes.sizes(sized)
        tables.append(table)
        missing += absent
    folder = tables_folder()
    plain = [table.to_dict() for table in tables]
    write_json(folder / "tables.json", {"tables": plain, "left_out": missing})
    reports = {s.name: found for s in there if (found := s.simulated()) is not None}
    write_whole(folder / "tables.html", tables_page(tables, reports, missing))
    path = folder / "tables.md"
    write_whole(path, text_of(tables, there, missing))
    return path
