# SPDX-License-Identifier: Apache-2.0
"""Figures of what was verified, from what the tests, the proofs and ``make mutate`` have left."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STORED = Path(__file__).parent / "stored.json"
FAULTS = ("tests/faults/", "tests/compiler/frontend/archives/test_damage.py")
# The run of ``make mutate`` that the table counts: what was asked, by kind, and what survived.
MUTATION_RUN = ROOT / "tests" / "mutation" / "stored_run.json"
# Of the Verilog that coverage counts, and what the table calls them.
KINDS = {"line": "lines", "branch": "branches", "toggle": "toggles"}
MUTATED = "hdl/core hdl/noc golden/arithmetic golden/program compiler/assembly compiler/lowering"
MUTATE = f'make mutate FILES="{MUTATED}" MUTANTS=230'


@dataclass
class Evidence:
    """What runs have left.

    records : of single tests, ``tests.support.evidence.record``
    files : tests that passed, by the file they stand in
    proofs : ``sim_build/formal/proofs.json``, see ``tests.support.proofs``
    coverage : ``sim_build/coverage/coverage.json``: goals of hardware that were reached
    mutants : summary of ``make mutate``, see ``tests.mutation.results.summary``
    """

    records: Sequence[Mapping[str, Any]] = ()
    files: Mapping[str, int] = field(default_factory=dict)
    proofs: Sequence[Mapping[str, Any]] = ()
    coverage: Mapping[str, Any] = field(default_factory=dict)
    mutants: Mapping[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        """Records of a kind."""
        return [record for record in self.records if record["kind"] == kind]

    def passed(self, *beginnings: str) -> int:
        """Tests that passed in files whose path begins so."""
        return sum(n for path, n in self.files.items() if path.startswith(beginnings))


def gather(build: Path) -> Evidence:
    """Everything that lies below ``sim_build``; what is not there is empty."""
    folder = build / "evidence"
    lines = [
        line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()
    ]
    files: dict[str, int] = {}
    for path in sorted(folder.glob("*.json")):
        for name, n in json.loads(path.read_text())["files"].items():
            files[name] = files.get(name, 0) + n
    return Evidence(
        [json.loads(line) for line in lines],
        files,
        _read(build / "formal" / "proofs.json", []),
        _read(build / "coverage" / "coverage.json", {}),
        _read(build / "mutation" / "summary.json", {}),
    )


def _read(path: Path, default: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else default


def _sum(records: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(record[name] for record in records)


def _proofs(evidence: Evidence, mode: str) -> int:
    return sum(proof["mode"] == mode for p in evidence.proofs for proof in p["proofs"])


def _goal_bins(evidence: Evidence) -> int:
    return sum(goal["reached"] for goal in evidence.coverage.get("goals", ()))


def _percent(source: str, kind: str) -> Callable[[Evidence], int]:
    """Whole percents of the points of exported Verilog that coverage has hit."""

    def count(evidence: Evidence) -> int:
        part = evidence.coverage.get("code", {}).get(source, {}).get(kind, {})
        return 100 * part["hit"] // part["points"] if part.get("points") else 0

    return count


def _caught_percent(evidence: Evidence) -> int:
    """Whole percents of the faults tried, those that change nothing left out."""
    tried = evidence.mutants.get("tried", 0)
    return 100 * evidence.mutants["caught"] // tried if tried else 0


@dataclass(frozen=True)
class Figure:
    """A row of the table.

    name : key in ``stored.json``
    text : what it counts
    command : that gives it
    count : of the evidence
    short : in a line of text; "" where that leaves it out
    always : whether ``make test`` gives it; others are compared where they have been made
    """

    name: str
    text: str
    command: str
    count: Callable[[Evidence], int]
    short: str = ""
    always: bool = True


FIGURES = (
    Figure(
        "proof_tests",
        "tests that prove a property of the gateware, or refute one in which a fault was planted",
        "make formal",
        lambda e: e.passed("tests/formal/"),
        "proofs and refuted faults of the gateware",
    ),
    Figure(
        "properties",
        "properties proved",
        "make formal",
        lambda e: len(e.proofs),
    ),
    Figure(
        "inductive",
        "proofs for all time, by induction; their sizes stand in sim_build/formal/proofs.json",
        "make formal",
        lambda e: _proofs(e, "inductive"),
    ),
    Figure(
        "bounded",
        "proofs for a stated number of cycles",
        "make formal",
        lambda e: _proofs(e, "bounded"),
    ),
    Figure(
        "planted",
        "planted faults that those proofs refute",
        "make formal",
        lambda e: sum(len(record["twins"]) for record in e.proofs),
    ),
    Figure(
        "networks",
        "random networks on the compiled gateware: every spike and every counter equal",
        "make system",
        lambda e: len(e.of("network")),
        "random networks equal on RTL in every spike and counter",
    ),
    Figure(
        "images",
        "images that those ran on",
        "make system",
        lambda e: _sum(e.of("network"), "images"),
    ),
    Figure(
        "torch_networks",
        "random torch networks from floats to spikes, and those that once failed",
        "make system",
        lambda e: len(e.of("torch network")),
        "random torch networks",
    ),
    Figure(
        "garbage_kinds",
        "kinds of flits that a chip ought not to get",
        "make unit",
        lambda e: len({record["kind_of"] for record in e.of("garbage")}),
    ),
    Figure(
        "garbage",
        "moments at which one was sent: right results or an error, and STOP ends every state",
        "make unit",
        lambda e: len(e.of("garbage")),
        "moments of garbage survived",
    ),
    Figure(
        "faults",
        "faults of files, options and the machine that end in one error, or change nothing",
        "make unit",
        lambda e: e.passed(*FAULTS),
        "faults of files and machine",
    ),
    Figure(
        "bit_flips",
        "bit flips in memory images, all found",
        "make unit",
        lambda e: len(e.of("bit flip")),
        "bit flips found",
    ),
    Figure(
        "goal_bins",
        "bins of functional coverage reached",
        "make coverage",
        _goal_bins,
        always=False,
    ),
    *(
        Figure(
            f"{unit}_{kind}",
            f"percent of {what} in the exported Verilog of a {unit}",
            "make coverage",
            _percent(f"{unit}.v", kind),
            f"% of {what} of a node's Verilog" if unit == "node" else "",
            always=False,
        )
        for unit in ("node", "router")
        for kind, what in KINDS.items()
    ),
    Figure(
        "mutants_caught",
        "faults planted one at a time in hdl, golden and compiler that tests notice",
        MUTATE,
        lambda e: e.mutants.get("caught", 0),
        "faults planted in the sources noticed",
        always=False,
    ),
    Figure(
        "mutants_percent",
        "percent of those faults that change anything at all",
        MUTATE,
        _caught_percent,
        "% of those that change anything",
        always=False,
    ),
)


def measure(evidence: Evidence) -> dict[str, int]:
    """Figures by name; those that ``make test`` does not make only where they have been made."""
    found = {figure.name: figure.count(evidence) for figure in FIGURES}
    return {f.name: found[f.name] for f in FIGURES if f.always or found[f.name]}


def shortfalls(found: Mapping[str, int], stored: Mapping[str, int]) -> list[str]:
    """A line for every figure that has fallen below the stored one."""
    lines = []
    for figure in FIGURES:
        least = stored.get(figure.name, 0)
        if figure.name in found and found[figure.name] < least:
            lines.append(
                f"{figure.name}: must be at least {least}, is {found[figure.name]} "
                f"({figure.text}; {figure.command})"
            )
    return lines


def as_markdown(figures: Mapping[str, int]) -> str:
    """The table."""
    rows = ["| verified | at least | command |", "|---|---|---|"]
    rows += [
        f"| {f.text} | {figures[f.name]:,} | `{f.command}` |" for f in FIGURES if f.name in figures
    ]
    return "\n" + "\n".join(rows) + "\n"


def as_line(figures: Mapping[str, int]) -> str:
    """The table in a line, for pages that are short."""
    said = {
        always: ", ".join(
            f"{figures[f.name]:,} {f.short}"
            for f in FIGURES
            if f.name in figures and f.short and f.always is always
        )
        for always in (True, False)
    }
    other = f" By runs of their own, at least: {said[False]}." if said[False] else ""
    return (
        f"Verified by every run of the tests, at least: {said[True]}; a change under which one "
        "falls is refused ([table](docs/explanation/verification.md#the-table), `make verify`)."
        f"{other}"
    )


def replace_marked(text: str, inner: str, where: str) -> str:
    """``text`` with ``inner`` between its two marks; ``ValueError`` where they are not there."""
    begin, end = "<!-- verified: begin -->", "<!-- verified: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{where}: must have the marks {begin} and {end} once each")
    head, _, rest = text.partition(begin)
    return head + begin + inner + end + rest.partition(end)[2]
