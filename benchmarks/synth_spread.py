# SPDX-License-Identifier: Apache-2.0
"""Fmax over seeds of the placement, by commit: what a change to the gateware did to the clock."""

import json
import statistics
from pathlib import Path

from stemcore.files import write_whole

NAME = "spread.json"  # commit by board, preset and target: MHz by seed
UNKNOWN = "no repository"


def note(
    folder: Path, what: str, commit: str, seed: int, mhz: float
) -> dict[str, dict[str, float]]:
    """Adds one placement to ``folder/spread.json``; all commits of ``what``, the newest last."""
    path = folder / NAME
    known = json.loads(path.read_text()) if path.is_file() else {}
    commits = known.setdefault(what, {})
    commits[commit] = commits.pop(commit, {}) | {str(seed): mhz}
    write_whole(path, json.dumps(known, indent=2) + "\n")
    return commits


def lines(commits: dict[str, dict[str, float]]) -> list[str]:
    """Minimum, median and maximum of each commit."""
    found = [f"    {'commit':16}{'seeds':>6}{'minimum':>9}{'median':>9}{'maximum':>9}"]
    for commit, by_seed in commits.items():
        values = list(by_seed.values())
        middle = statistics.median(values)
        found.append(
            f"    {commit:16}{len(values):>6}{min(values):>9.1f}{middle:>9.1f}{max(values):>9.1f}"
        )
    return found
