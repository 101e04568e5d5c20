# SPDX-License-Identifier: Apache-2.0
"""Coverage of all runs in one report: goals reached or explained, lines, branches, toggles."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from tests.coverage.goals import Bin, Goal, cross_hits, make_samplers

KINDS = ("line", "branch", "toggle")
_POINT = re.compile(r"^C '(.*)' (\d+)$")


@dataclass
class Merged:
    """What all runs have seen of a goal: bins that cocotb-coverage has reached, and how often."""

    counts: Counter[Bin] = field(default_factory=Counter)
    reached: set[Bin] = field(default_factory=set)


def merge_samples(goals: Sequence[Goal], paths: Iterable[Path]) -> dict[str, Merged]:
    """What all runs have seen together, by goal; each bin is sampled by cocotb-coverage.

    A sample of a goal or bin that there is not raises ``ValueError``: it was made by another
    version of the goals.
    """
    samplers = make_samplers(goals)
    merged = {goal.name: Merged() for goal in goals}
    known = {goal.name: {*goal.bins, *goal.impossible} for goal in goals}
    for path in sorted(paths):
        for name, bins in json.loads(path.read_text()).items():
            for first, second, n in bins:
                if (first, second) not in known.get(name, ()):
                    raise ValueError(f"{path}: no goal {name} with {first}, {second}: run it anew")
                samplers[name](first, second)
                merged[name].counts[first, second] += n
    for goal in goals:
        merged[goal.name].reached = {pair for pair, n in cross_hits(goal).items() if n}
    return merged


def goal_report(goal: Goal, merged: Merged, explained: Sequence[Mapping]) -> dict:
    """One goal: bins reached, those that are missing, and why some may be.

    A bin that cannot be, but was seen, counts as missing: its reason is wrong.
    """
    counts, reasons = merged.counts, {}
    for pair in goal.bins:
        for entry in explained:
            if entry["goal"] == goal.name and fnmatchcase(" ".join(pair), entry["bins"]):
                reasons.setdefault(pair, entry["reason"])
    missing = [pair for pair in goal.bins if pair not in merged.reached]
    surprises = [pair for pair in goal.impossible if counts.get(pair)]
    return {
        "goal": goal.name,
        "axes": list(goal.axes),
        "bins": len(goal.bins),
        "reached": len(goal.bins) - len(missing),
        "counts": [[*pair, counts.get(pair, 0)] for pair in goal.bins],
        "explained": [[*pair, reasons[pair]] for pair in missing if pair in reasons],
        "impossible": [[*pair, reason] for pair, reason in goal.impossible.items()],
        "missing": [list(pair) for pair in missing if pair not in reasons],
        "seen_though_impossible": [list(pair) for pair in surprises],
    }


def unused_explanations(goals: Sequence[Goal], explained: Sequence[Mapping]) -> list[str]:
    """Explanations of bins that there are not."""
    texts = [(goal.name, " ".join(pair)) for goal in goals for pair in goal.bins]
    return [
        f"{entry['goal']}: {entry['bins']}"
        for entry in explained
        if not any(entry["goal"] == name and fnmatchcase(t, entry["bins"]) for name, t in texts)
    ]


def code_coverage(path: Path, source: str) -> dict[str, dict[str, int]]:
    """Points of Verilator's ``coverage.dat`` in the file ``source``: all, and those that were hit.

    Instances of one module count together.
    """
    hits: dict[str, Counter] = defaultdict(Counter)
    for line in path.read_text().splitlines():
        match = _POINT.match(line)
        if match is None:
            continue
        parts = match[1].split("\x01")[1:]
        point = dict(part.split("\x02", 1) for part in parts)
        kind = point["page"].split("/")[0].removeprefix("v_")
        if Path(point["f"]).name == source and kind in KINDS:
            key = (point["l"], point.get("n", ""), point.get("o", ""), point.get("S", ""))
            hits[kind][key] += int(match[2])
    return {
        kind: {"points": len(hits[kind]), "hit": sum(n > 0 for n in hits[kind].values())}
        for kind in KINDS
    }


def percent(part: Mapping[str, int]) -> float:
    """Points that were hit, of a hundred."""
    return round(100 * part["hit"] / part["points"], 1) if part["points"] else 0.0


def shortfalls(report: Mapping) -> list[str]:
    """What keeps coverage from being met, a line each."""
    lines = []
    for goal in report["goals"]:
        lines += [f"{goal['goal']}: {a}, {b} was never seen" for a, b in goal["missing"]]
        lines += [
            f"{goal['goal']}: {a}, {b} was seen, though it is said to be impossible"
            for a, b in goal["seen_though_impossible"]
        ]
    for source, kinds in report["code"].items():
        for kind, part in kinds.items():
            if part["percent"] < part["least"]:
                lines.append(f"{source}: {part['percent']} % of {kind}, {part['least']} % are due")
    lines += [f"explained.json: {text} explains nothing" for text in report["unused_explanations"]]
    return lines


def as_markdown(report: Mapping) -> str:
    """The report as a page."""
    verdict = "met" if report["met"] else "NOT met"
    text = ["# Coverage", "", f"Goals are {verdict}.", ""]
    text += [f"* {line}" for line in report["shortfalls"]]
    text += ["", "| goal | axes | bins | reached | explained |", "|---|---|---|---|---|"]
    for goal in report["goals"]:
        axes, n = " x ".join(goal["axes"]), len(goal["explained"])
        text.append(f"| {goal['goal']} | {axes} | {goal['bins']} | {goal['reached']} | {n} |")
    text += [
        "",
        "| Verilog | kind | points | hit | percent | at least |",
        "|---|---|---|---|---|---|",
    ]
    for source, kinds in report["code"].items():
        for kind, part in kinds.items():
            figures = " | ".join(str(part[name]) for name in ("points", "hit", "percent", "least"))
            text.append(f"| {source} | {kind} | {figures} |")
    for goal in report["goals"]:
        text += [
            "",
            f"## {goal['goal']}",
            "",
            f"| {' | '.join(goal['axes'])} | times |",
            "|---|---|---|",
        ]
        text += [f"| {a} | {b} | {n} |" for a, b, n in goal["counts"]]
        for title, key in (("Not reached, because", "explained"), ("Impossible", "impossible")):
            if goal[key]:
                text += ["", f"{title}:", ""]
                text += [f"* {a}, {b}: {reason}" for a, b, reason in goal[key]]
    return "\n".join(text) + "\n"
