# SPDX-License-Identifier: Apache-2.0
"""The table of what was verified: printed, compared with the stored one, or stored.

``make verify`` runs the tests, then this with ``--store``; the continuous integration with
``--check``, after its own tests, which costs no time.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.verification.figures import (
    MUTATION_RUN,
    ROOT,
    STORED,
    as_line,
    as_markdown,
    gather,
    measure,
    replace_marked,
    shortfalls,
)

PAGES = {
    ROOT / "README.md": as_line,
    ROOT / "docs" / "explanation" / "verification.md": as_markdown,
}


def main(words: Sequence[str] | None = None) -> int:
    """0: as good as stored; 1: a figure has fallen."""
    parser = argparse.ArgumentParser(prog="make verify", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail where a figure has fallen")
    parser.add_argument("--store", action="store_true", help="write stored.json and the pages")
    parser.add_argument("--build", type=Path, default=ROOT / "sim_build", help="what runs left")
    options = parser.parse_args(words)
    evidence, stored = gather(options.build), json.loads(STORED.read_text())
    found = measure(evidence)
    print(as_markdown(found).lstrip(), end="")
    fallen = shortfalls(found, stored)
    for line in fallen:
        print(f"verify: {line}", file=sys.stderr)
    if fallen and options.check:
        return 1
    if options.store:
        store({**stored, **found})
        if evidence.mutants:
            MUTATION_RUN.write_text(json.dumps(evidence.mutants, indent=1) + "\n")
    return 0


def store(figures: dict[str, int]) -> None:
    """``stored.json``, and the table in both pages."""
    STORED.write_text(json.dumps(figures, indent=1) + "\n")
    for page, shown in PAGES.items():
        page.write_text(replace_marked(page.read_text(), shown(figures), page.name))


if __name__ == "__main__":
    sys.exit(main())
