# SPDX-License-Identifier: Apache-2.0
"""``make coverage``: merges what the benches have seen; status 1 where a goal is not met.

What lines, branches and toggles must reach at least stands in the table of what is verified.
"""

import json
import sys

from stemcore.golden.spec.presets import get_preset
from tests.coverage.goals import EXPLAINED, HARDWARE_GOALS, OUT, SAMPLES, field_goal
from tests.coverage.report import (
    as_markdown,
    code_coverage,
    goal_report,
    merge_samples,
    percent,
    shortfalls,
    unused_explanations,
)
from tests.verification.figures import STORED

RUNS = ("cocotb-node", "cocotb-router", "random-networks")


def main() -> int:
    """Reads the runs' samples, writes coverage.json and coverage.md; returns the exit status."""
    paths = [SAMPLES / f"{name}.json" for name in RUNS]
    data = {unit: OUT / unit / "run" / "coverage.dat" for unit in ("node", "router")}
    gone = [path for path in (*paths, *data.values()) if not path.is_file()]
    if gone:
        print(f"coverage: {gone[0]} must be there, is not; run make coverage", file=sys.stderr)
        return 2
    rules, least = json.loads(EXPLAINED.read_text()), json.loads(STORED.read_text())
    goals = [*HARDWARE_GOALS, field_goal(get_preset("tiny"))]
    merged = merge_samples(goals, paths)
    code = {unit: code_coverage(path, f"{unit}.v") for unit, path in data.items()}
    report = {
        "goals": [goal_report(goal, merged[goal.name], rules["explained"]) for goal in goals],
        "code": {
            f"{unit}.v": {
                kind: {**part, "percent": percent(part), "least": least[f"{unit}_{kind}"]}
                for kind, part in kinds.items()
            }
            for unit, kinds in code.items()
        },
        "runs": list(RUNS),
        "unused_explanations": unused_explanations(goals, rules["explained"]),
    }
    report["shortfalls"] = shortfalls(report)
    report["met"] = not report["shortfalls"]
    (OUT / "coverage.json").write_text(json.dumps(report, indent=1) + "\n")
    (OUT / "coverage.md").write_text(as_markdown(report))
    for goal in report["goals"]:
        reached, n = goal["reached"], len(goal["explained"])
        print(f"{goal['goal']:10} {reached:4} of {goal['bins']:3} bins, {n} explained")
    for source, kinds in report["code"].items():
        figures = ", ".join(f"{kind} {part['percent']} %" for kind, part in kinds.items())
        print(f"{source:10} {figures}")
    print(f"report     {OUT / 'coverage.md'}")
    for line in report["shortfalls"]:
        print(f"coverage: {line}", file=sys.stderr)
    return 0 if report["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
