# SPDX-License-Identifier: Apache-2.0
"""Counts of a run, and records of single tests."""

import json
from types import SimpleNamespace

import pytest

from tests.support import evidence


def report(name, when="call", why=None):
    return SimpleNamespace(nodeid=name, when=when, longrepr=why)


@pytest.fixture
def stats():
    no_data = ("tests/a.py", 3, "Skipped: cifar10: no data here;\n fetch them")
    return {
        "passed": [
            report("tests/a.py::test_x"),
            report("tests/a.py::test_y"),
            report("tests/b.py::test_z[a::b]"),
            report("tests/b.py::test_z[a::b]", when="teardown"),
        ],
        "skipped": [report("tests/a.py::test_s", "setup", no_data) for _ in range(2)],
        "error": [report("tests/c.py::test_e", "setup", "no fixture")],
    }


def test_counts_say_what_was_skipped_and_why(stats):
    found = evidence.counts(stats)
    assert found == {
        "passed": 3,
        "failed": 1,
        "skipped": {"cifar10: no data here; fetch them": 2},
        "files": {"tests/a.py": 2, "tests/b.py": 1},
    }
    assert evidence.in_words(found).splitlines() == [
        "3 passed, 1 FAILED, 2 skipped",
        "2 x cifar10: no data here; fetch them",
    ]
    assert evidence.in_words(evidence.counts({})) == "0 passed\n"


def test_a_stage_leaves_its_files_and_forgets_them(tmp_path, stats, monkeypatch):
    stage = tmp_path / "kept" / "unit"
    monkeypatch.setenv(evidence.VARIABLE, str(stage))
    evidence.write_counts(stage, stats)
    evidence.record("network", number=3)
    assert json.loads(stage.with_suffix(".json").read_text()) == evidence.counts(stats)
    (path,) = stage.parent.glob("*.jsonl")
    (line,) = path.read_text().splitlines()
    said = json.loads(line)
    assert (said["kind"], said["number"]) == ("network", 3)
    assert said["test"].endswith("::test_a_stage_leaves_its_files_and_forgets_them")
    (stage.parent / "formal.json").write_text("{}")
    evidence.forget(stage)
    assert [path.name for path in stage.parent.iterdir()] == ["formal.json"]


def test_nothing_is_written_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv(evidence.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    evidence.record("network", number=3)
    assert not list(tmp_path.iterdir())
