# SPDX-License-Identifier: Apache-2.0
"""What a run of the tests leaves for ``make test``'s summary and for the table of ``make verify``.

``STEMCORE_EVIDENCE=folder/stage`` asks for it. Then ``folder/stage.json`` has the counts of the
run, ``folder/stage.txt`` the same in words, and ``folder/stage-PID.jsonl`` one record a line of
what single tests had to say (:func:`record`). Without the variable nothing is written.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VARIABLE = "STEMCORE_EVIDENCE"


def record(kind: str, **facts: Any) -> None:
    """Append ``{"kind": kind, "test": name of the test, **facts}`` to this process's records.

    To be called when what is recorded has been shown, after the assertions.
    """
    if stage := os.environ.get(VARIABLE):
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        path = Path(f"{stage}-{os.getpid()}.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps({"kind": kind, "test": test, **facts}) + "\n")


def forget(stage: Path) -> None:
    """Remove what an earlier run of this stage left."""
    for path in stage.parent.glob(f"{stage.name}*"):
        if path.suffix in (".json", ".jsonl", ".txt"):
            path.unlink()


def counts(stats: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Of pytest's reports: ``{"passed", "failed", "skipped": {reason: n}, "files": {file: n}}``.

    ``files`` counts tests that passed, by the file they stand in.
    """
    passed = [report for report in stats.get("passed", ()) if report.when == "call"]
    reasons = Counter(_reason(report) for report in stats.get("skipped", ()))
    return {
        "passed": len(passed),
        "failed": len(stats.get("failed", ())) + len(stats.get("error", ())),
        "skipped": dict(sorted(reasons.items())),
        "files": dict(sorted(Counter(r.nodeid.partition("::")[0] for r in passed).items())),
    }


def _reason(report: Any) -> str:
    """Why a test was skipped, without where."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple | list) else report.longrepr
    return " ".join(str(text).removeprefix("Skipped: ").split())


def in_words(found: Mapping[str, Any]) -> str:
    """The counts as lines: a summary, then every reason for a skip."""
    n_skipped = sum(found["skipped"].values())
    parts = [f"{found['passed']} passed"]
    parts += [f"{found['failed']} FAILED"] if found["failed"] else []
    parts += [f"{n_skipped} skipped"] if n_skipped else []
    reasons = [f"{n} x {reason}" for reason, n in found["skipped"].items()]
    return "\n".join([", ".join(parts), *reasons]) + "\n"


def write_counts(stage: Path, stats: Mapping[str, Sequence[Any]]) -> None:
    """Write ``stage.json`` and ``stage.txt``."""
    found = counts(stats)
    stage.parent.mkdir(parents=True, exist_ok=True)
    stage.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    stage.with_suffix(".txt").write_text(in_words(found))
