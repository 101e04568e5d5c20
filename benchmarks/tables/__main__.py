# SPDX-License-Identifier: Apache-2.0
"""``make tables``: writes ``sim_build/tables/tables.md`` and ``tables.json``.

``python -m stemcore.benchmarks.tables [--only VIII ..] [--model tiny_vgg ..] [--images N] [--data
FOLDER]``
"""

import argparse
import sys
from pathlib import Path

from stemcore.models.errors import DataError
from stemcore.models.registry import MODELS
from stemcore.runtime.report.figures import write_json

from .build import TABLES, Table
from .subjects import CACHE, IMAGES, Subject, find_subjects


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
    without = [name for name, spec in MODELS.items() if not spec.relu_form and name not in trained]
    lines = ["# Counterparts of the paper's tables", ""]
    lines += [
        f"* {s.name}: {s.plain()['images']} test images, {s.plain()['provenance']}"
        for s in subjects
    ]
    lines += [f"* left out, {line}" for line in missing]
    if without:
        lines += [f"* without trained weights, so without rows: {', '.join(without)}"]
    return "\n".join(lines) + "\n\n" + "\n".join(table.to_markdown() for table in tables)


def main(words: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="stemcore.benchmarks.tables", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--only", action="append", choices=tuple(TABLES))
    parser.add_argument("--model", action="append", help="of these networks alone")
    parser.add_argument("--images", type=int, default=IMAGES, help="test images at most")
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    options = parser.parse_args(words)
    if options.images < 1:
        parser.error(f"--images: must be at least 1, got {options.images}")
    subjects = find_subjects(options.images, options.data)
    if options.model:
        subjects = [subject for subject in subjects if subject.model in options.model]
    there, missing = usable(subjects)
    tables = []
    for number in options.only or TABLES:
        print(f"table {number}", flush=True)
        tables.append(TABLES[number](there))
    folder = CACHE.parent
    write_json(
        folder / "tables.json",
        {"tables": [table.to_dict() for table in tables], "left_out": missing},
    )
    (folder / "tables.md").write_text(text_of(tables, there, missing))
    print(f"wrote {folder / 'tables.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
