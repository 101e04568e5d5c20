# SPDX-License-Identifier: Apache-2.0
"""Plant small faults in hdl, golden and compiler, one at a time, and see whether tests notice.

By default those of lines that differ from where this branch left ``main``. Everything happens in a
copy below sim_build; results are kept there and not computed again while the file stays the same.
"""

import argparse
import itertools
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.mutation.operators import Mutant
from tests.mutation.results import SURVIVED, Results, described, digest, equivalents, summary
from tests.mutation.selection import (
    ROOMS,
    Stage,
    all_mutants,
    changed_lines,
    draw,
    source_files,
    stages_of,
    touched,
)
from tests.mutation.workshop import Workshop, head, preload

ROOT = Path(__file__).resolve().parents[2]


class BrokenTests(Exception):
    """Tests that fail without a fault say nothing about one."""


class Trial:
    """Tries faults one after the other."""

    def __init__(
        self, root: Path, folder: Path, results: Results, *, is_quick: bool = False
    ) -> None:
        self.root, self.results, self.is_quick = root, results, is_quick
        self.workshop = Workshop(root, folder / "copy", folder / "cache")
        self.sound: set[str] = set()

    def verdict(self, mutant: Mutant) -> str:
        """Try one fault and store what came of it."""
        seconds, outcome = 0.0, None
        self.workshop.plant(mutant)
        try:
            for stage in stages_of(mutant.path, self.root, is_quick=self.is_quick):
                outcome = self.workshop.run(stage)
                seconds += outcome.seconds
                if outcome.test:
                    break
        finally:
            self.workshop.mend(mutant)
        if outcome.test:
            self.confirm(outcome.test, stage)
        source = digest(self.workshop.source(mutant.path))
        return self.results.add(mutant, source, outcome.test, seconds)

    def confirm(self, test: str, stage: Stage) -> None:
        """``test`` passes where there is no fault: one that fails anyway has noticed nothing."""
        if test in self.sound or not test.startswith("tests/"):
            return
        outcome = self.workshop.run(replace(stage, tests=(test,)), is_changed=False)
        if outcome.test:
            log = (self.workshop.folder / "log").read_text()
            raise BrokenTests(
                f"{test}: must pass before a fault is planted; mend it first\n{log[-3000:]}"
            )
        self.sound.add(test)


def chosen(options: argparse.Namespace) -> list[Mutant]:
    """Faults that the options ask for, before the draw."""
    if options.files == ["all"]:
        return all_mutants(ROOT, source_files(ROOT))
    if options.files:
        return all_mutants(ROOT, source_files(ROOT, options.files))
    lines = changed_lines(ROOT, options.base)
    return touched(all_mutants(ROOT, sorted(lines)), lines)


def parser() -> argparse.ArgumentParser:
    """Options of the command."""
    made = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    made.add_argument("files", nargs="*", help=f"all, or files and folders of {', '.join(ROOMS)}")
    made.add_argument("--base", default="main", help="branch that changes are seen against")
    made.add_argument("--number", type=int, default=60, help="faults at most (60)")
    made.add_argument("--seed", type=int, default=0, help="of the draw (0)")
    made.add_argument("--quick", action="store_true", help="no simulator, no proofs")
    made.add_argument("--again", action="store_true", help="try those again that survived")
    made.add_argument("--list", action="store_true", help="show the faults, try none")
    made.add_argument("--folder", type=Path, default=ROOT / "sim_build" / "mutation")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """0: all caught that can be; 1: some survived; 2: the options are wrong."""
    options = parser().parse_args(words)
    try:
        if options.number < 1:
            raise ValueError(f"--number: must be at least 1, got {options.number}")
        drawn = draw(chosen(options), options.number, options.seed, ROOT)
        same = equivalents()
    except ValueError as error:
        print(f"make mutate: {error}", file=sys.stderr)
        return 2
    if options.list:
        print(*map(described, drawn), sep="\n")
        return 0
    results = Results(options.folder / "results.json")
    try:
        survived = try_all(drawn, set(same), results, options)
    except BrokenTests as error:
        print(f"make mutate: {error}", file=sys.stderr)
        return 2
    return 1 if survived else 0


def try_all(
    drawn: Sequence[Mutant], same: set[str], results: Results, options: argparse.Namespace
) -> int:
    """Try what has no result yet, say how it goes; returns how many survived."""
    left = [
        mutant for mutant in drawn if mutant.name not in same and _is_due(mutant, results, options)
    ]
    print(f"{len(drawn)} faults, {len(left)} to try (SEED={options.seed})", flush=True)
    trial = None
    for mutant, i in zip(left, itertools.count(1)):
        if trial is None:
            preload()
            trial = Trial(ROOT, options.folder, results, is_quick=options.quick)
        verdict = trial.verdict(mutant)
        entry = results.entries[mutant.name]
        by = f" by {entry['test']}" if entry["test"] else ""
        print(
            f"{i}/{len(left)} {verdict}{by} [{entry['seconds']} s] {described(mutant)}", flush=True
        )
    asked = {"files": options.files, "number": options.number, "seed": options.seed}
    found = {"asked": asked, "commit": head(ROOT), **summary(results, drawn, ROOT)}
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "summary.json").write_text(json.dumps(found, indent=1) + "\n")
    share = 100 * found["caught"] / found["tried"] if found["tried"] else 100
    print(
        f"{found['caught']} of {found['tried']} caught ({share:.1f} %), "
        f"{found['equivalent']} more change nothing; {results.path}"
    )
    for line in found["survivors"]:
        print(f"survived: {line}")
    return found["survived"]


def _is_due(mutant: Mutant, results: Results, options: argparse.Namespace) -> bool:
    known = results.known(mutant, digest((ROOT / mutant.path).read_bytes()))
    return known is None or (options.again and known == SURVIVED)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
