# SPDX-License-Identifier: Apache-2.0
"""Faults in a copy: noticed or not, ended when they hang, the project untouched."""

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.mutation import __main__ as command
from tests.mutation.operators import mutants
from tests.mutation.results import Results, digest, equivalents, summary
from tests.mutation.selection import Stage
from tests.mutation.workshop import FILES, FOLDERS, Workshop, case_of_each_first

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "golden/made_up.py"
TEXT = """def count(n):
    i = 0
    while i < n:
        i += 1
    return i, n > 100
"""
TESTS = """import stemcore.golden.made_up as made_up

def test_it_loads():
    assert made_up.count

def test_count():
    assert made_up.count(5) == (5, False)
"""
STAGE = Stage(("tests/golden/test_made_up.py",), ("-p", "no:hypothesis"))


@pytest.fixture
def project(tmp_path):
    """A small project of the same folders."""
    root = tmp_path / "project"
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    for name in FILES:
        shutil.copy(ROOT / name, root)
    (root / "tests" / "golden").mkdir()
    for name in ("stemcore/__init__.py", "golden/__init__.py"):
        (root / name).write_text("")
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    (root / SOURCE).write_text(TEXT)
    (root / STAGE.tests[0]).write_text(TESTS)
    return root


@pytest.fixture
def workshop(project, tmp_path):
    return Workshop(project, tmp_path / "work" / "copy", tmp_path / "work" / "cache")


def fault(before, after):
    found = mutants(TEXT.encode(), SOURCE)
    (mutant,) = [m for m in found if (m.before, m.after) == (before, after)]
    return mutant


def contents(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_faults_are_noticed_survive_or_hang_and_the_project_stays(workshop, project, monkeypatch):
    monkeypatch.setattr("tests.mutation.workshop.TEST_SECONDS", 1)
    before = contents(project)
    assert workshop.run(STAGE).test == ""
    wanted = {
        ("i < n", "i <= n"): ("tests/golden/test_made_up.py::test_count", False),
        ("n > 100", "n >= 100"): ("", False),
        ("i += 1", "pass"): ("tests/golden/test_made_up.py::test_count", True),
    }
    for (old, new), outcome in wanted.items():
        mutant = fault(old, new)
        workshop.plant(mutant)
        found = workshop.run(STAGE)
        assert (found.test, found.is_late) == outcome, (old, new)
        workshop.mend(mutant)
    assert workshop.run(STAGE).test == ""
    assert contents(project) == before


@pytest.mark.slow
def test_a_test_that_fails_anyway_has_noticed_nothing(project, tmp_path):
    (project / STAGE.tests[0]).write_text(TESTS.replace("(5, False)", "(6, False)"))
    trial = command.Trial(project, tmp_path / "work", Results(tmp_path / "results.json"))
    with pytest.raises(
        command.BrokenTests, match=r"^tests/golden/test_made_up.py::test_count: must"
    ):
        trial.confirm("tests/golden/test_made_up.py::test_count", STAGE)
    trial.confirm("tests/golden/test_made_up.py::test_it_loads", STAGE)


def test_one_case_of_every_function_comes_before_the_second_of_any():
    names = ["a.py::f[1]", "a.py::f[2]", "a.py::f[3]", "a.py::g", "b.py::f[1]", "b.py::f[2]"]
    items = [SimpleNamespace(nodeid=name) for name in names]
    case_of_each_first(items)
    order = [item.nodeid for item in items]
    assert order == [*(names[i] for i in (0, 3, 4, 1, 5, 2))]


def test_a_file_that_changed_since_the_draw_is_refused(workshop):
    mutant = fault("i < n", "i <= n")
    (workshop.folder / SOURCE).write_text("\n" + TEXT)
    with pytest.raises(ValueError, match=r"^golden/made_up.py: must stay as it was"):
        workshop.plant(mutant)


def test_results_are_kept_and_hold_for_one_text(tmp_path, project):
    path = tmp_path / "kept" / "results.json"
    results, source = Results(path), digest(TEXT.encode())
    caught, lives = fault("i < n", "i <= n"), fault("n > 100", "n >= 100")
    assert results.add(caught, source, "tests/a.py::test_a", 1.26) == "caught"
    assert results.add(lives, source, "", 2.0) == "survived"
    again = Results(path)
    assert again.known(caught, source) == "caught"
    assert again.known(caught, digest(b"another text")) is None
    assert again.known(fault("i += 1", "pass"), source) is None
    assert again.entries[caught.name]["seconds"] == 1.3
    found = summary(again, [caught, lives, fault("i += 1", "pass")], project)
    assert (found["tried"], found["caught"], found["survived"]) == (2, 1, 1)
    assert found["kinds"] == {"comparison": [1, 2]}
    assert found["survivors"] == ["golden/made_up.py:5 count: comparison: n > 100  ->  n >= 100"]


@pytest.mark.medium
def test_every_fault_that_changes_nothing_is_one_that_can_be_made():
    """An entry whose text is gone says nothing any more, and has to go."""
    for name, entry in equivalents().items():
        source = (ROOT / entry.file).read_bytes()
        assert name in {mutant.name for mutant in mutants(source, entry.file)}, entry


@pytest.mark.parametrize(
    "change",
    [{"reason": ""}, {"reason": "because it is"}, {"kind": "magic"}, {"line": 3}, {"file": None}],
)
def test_an_entry_without_a_reason_is_refused(tmp_path, change):
    entry = {
        **{"file": SOURCE, "place": "count", "kind": "comparison", "before": "i < n"},
        **{"after": "i != n", "reason": "i rises by one from below and meets n exactly"},
    }
    path = tmp_path / "equivalent.json"
    path.write_text(json.dumps([entry]))
    assert len(equivalents(path)) == 1
    changed = {key: value for key, value in (entry | change).items() if value is not None}
    path.write_text(json.dumps([changed]))
    with pytest.raises(ValueError, match=r"^equivalent.json: "):
        equivalents(path)


def test_wrong_options_are_told(capsys):
    assert command.main(["runtime"]) == 2
    assert "make mutate: files: must be files or folders below" in capsys.readouterr().err
    assert command.main(["hdl", "--number", "0"]) == 2
    assert "--number: must be at least 1, got 0" in capsys.readouterr().err


def test_faults_can_be_listed(capsys):
    assert command.main(["golden/arithmetic/bounds.py", "--number", "3", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("golden/arithmetic/bounds.py:") for line in lines)
