# SPDX-License-Identifier: Apache-2.0
"""Coverage adds up over runs; a goal that is not met is named, whatever else is."""

import json
from collections import Counter

import numpy as np
import pytest

from stemcore.golden.spec.presets import get_preset
from tests.coverage.goals import (
    EXPLAINED,
    HARDWARE_GOALS,
    PROBES,
    Goal,
    field_goal,
    field_ranges,
    probe_bins,
    program_fields,
    write_samples,
)
from tests.coverage.report import (
    Merged,
    as_markdown,
    code_coverage,
    goal_report,
    merge_samples,
    shortfalls,
    unused_explanations,
)
from tests.support.hand_programs import dense_program

LEVELS = ("empty", "full")
SMALL = Goal(
    "small", ("queue", "token"), (LEVELS, ("END", "go")), {("empty", "go"): "nobody waits"}
)


def merged(tmp_path, *runs):
    for number, bins in enumerate(runs):
        write_samples(tmp_path / f"{number}.json", {"small": bins})
    return merge_samples([SMALL], tmp_path.glob("*.json"))["small"]


def test_runs_add_up_and_what_was_not_seen_is_missing(tmp_path):
    found = merged(tmp_path, {("full", "END"): 2}, {("full", "END"): 3, ("empty", "END"): 0})
    report = goal_report(SMALL, found, [])
    assert report["bins"] == 3
    assert report["reached"] == 1
    assert report["missing"] == [["empty", "END"], ["full", "go"]]
    assert ["full", "END", 5] in report["counts"]
    (line,) = [line for line in shortfalls(whole(report)) if "go" in line]
    assert line == "small: full, go was never seen"


def whole(*goals, code=None):
    return {"goals": goals, "code": code or {}, "unused_explanations": []}


def test_an_explanation_takes_a_bin_out_and_must_name_one(tmp_path):
    goal = Goal("other", SMALL.axes, SMALL.values)
    (tmp_path / "run.json").write_text("{}")
    counts = merge_samples([goal], [tmp_path / "run.json"])["other"]
    rules = [{"goal": "other", "bins": "* END", "reason": "too rare"}]
    report = goal_report(goal, counts, rules)
    assert report["explained"] == [["empty", "END", "too rare"], ["full", "END", "too rare"]]
    assert report["missing"] == [["empty", "go"], ["full", "go"]]
    assert unused_explanations([goal], rules) == []
    assert unused_explanations([goal], [{**rules[0], "bins": "half *"}]) == ["other: half *"]


def test_what_cannot_be_must_not_be_seen(tmp_path):
    merged = Merged(Counter({("empty", "go"): 1}))
    report = goal_report(SMALL, merged, [])
    assert report["seen_though_impossible"] == [["empty", "go"]]
    assert any("impossible" in line for line in shortfalls(whole(report)))


@pytest.mark.parametrize("sample", [["half", "END", 1], ["full", "none", 1]])
def test_samples_of_other_goals_are_refused(tmp_path, sample):
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"small": [sample]}))
    with pytest.raises(ValueError, match=rf"old\.json: no goal small with {sample[0]}, "):
        merge_samples([SMALL], [path])


def test_points_of_verilator_are_counted_once_for_all_instances(tmp_path):
    def point(kind, line, name, instance, hits, file="sources/node.v"):
        fields = {"f": file, "l": line, "n": 5, "page": f"v_{kind}/m", "o": name, "h": instance}
        return "C '" + "".join(f"\x01{k}\x02{v}" for k, v in fields.items()) + f"' {hits}"

    path = tmp_path / "coverage.dat"
    lines = [
        "# SystemC::Coverage-3",
        point("line", 3, "block", "top.a", 0),
        point("line", 3, "block", "top.b", 7),
        point("branch", 4, "if", "top.a", 0),
        point("toggle", 5, "x:0->1", "top.a", 1),
        point("toggle", 5, "x:1->0", "top.a", 0),
        point("line", 9, "block", "top.a", 1, file="sources/probes.v"),
    ]
    path.write_text("\n".join(lines) + "\n")
    code = code_coverage(path, "node.v")
    assert code["line"] == {"points": 1, "hit": 1}
    assert code["branch"] == {"points": 1, "hit": 0}
    assert code["toggle"] == {"points": 2, "hit": 1}
    part = {"points": 2, "hit": 1, "percent": 50.0, "least": 60}
    (line,) = shortfalls(whole(code={"node.v": {"toggle": part}}))
    assert line == "node.v: 50.0 % of toggle, 60 % are due"


def test_a_page_has_goals_reasons_and_figures(tmp_path):
    report = whole(
        goal_report(SMALL, Merged(), [{"goal": "small", "bins": "full *", "reason": "why"}])
    )
    page = as_markdown({**report, "met": False, "shortfalls": ["small: never"]})
    assert "Goals are NOT met." in page
    assert "| small | queue x token | 3 | 0 | 2 |" in page
    assert "* full, END: why" in page


def test_probes_have_as_many_counters_as_bins():
    for goal in HARDWARE_GOALS:
        assert {*goal.bins} <= {*goal.probe} <= {*goal.bins, *goal.impossible}, goal.name
        assert len(set(goal.probe)) == len(goal.probe)
    hits = 5 << 32 | 7 << 64
    bins = probe_bins(PROBES["forward"], hits)
    assert bins["2", "no gap"] == 5
    assert bins["2", "gap"] == 7
    assert bins["1", "no gap"] == 0


def test_fields_of_a_program_are_seen_at_their_ends():
    program, _ = dense_program(3)
    found = program_fields(program)
    (core,) = program.cores
    assert found["MODE.bits", "high"] + found["MODE.bits", "low"] <= 1
    assert found["TABLE_C.count", "low"] + found["DESTINATION.x0", "low"] > 0
    weights = np.concatenate([words.view(np.int8) for words in [core.memories[5]]]).reshape(-1)
    assert found["WEIGHT.weight", "high"] == int((weights == 127).sum())
    assert {name for name, _ in found} <= set(field_ranges(program.params))


def test_every_explanation_explains_a_bin():
    goals = [*HARDWARE_GOALS, field_goal(get_preset("tiny"))]
    rules = json.loads(EXPLAINED.read_text())
    assert unused_explanations(goals, rules["explained"]) == []
    assert all(len(entry["reason"]) > 20 for entry in rules["explained"])
