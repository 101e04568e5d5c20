# SPDX-License-Identifier: Apache-2.0
"""Which faults are tried, and with which tests."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.operators import KINDS
from tests.mutation.selection import (
    DEEP,
    OWN,
    QUICK,
    ROOMS,
    all_mutants,
    changed_lines,
    draw,
    source_files,
    stages_of,
    touched,
)

ROOT = Path(__file__).resolve().parents[2]
FEW = ["hdl/noc", "golden/arithmetic", "compiler/lowering"]


@pytest.fixture
def checkout(tmp_path):
    """A project with one committed file on ``main``, and a branch that changed it."""
    (tmp_path / "hdl").mkdir()
    file = tmp_path / "hdl" / "a.py"
    file.write_text("x = 1\ny = 2\nz = 3\n")
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", "hdl"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "one"],
        ["checkout", "-q", "-b", "work"],
    ):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.medium
def test_draw_depends_on_the_seed_alone_and_grows():
    found = all_mutants(ROOT, source_files(ROOT, FEW))
    drawn = draw(found, 40, 7, ROOT)
    assert drawn == draw(list(reversed(found)), 40, 7, ROOT)
    assert drawn == draw(found, 60, 7, ROOT)[:40]
    assert drawn != draw(found, 40, 8, ROOT)
    assert len({mutant.name for mutant in drawn}) == 40
    assert {mutant.kind for mutant in drawn} == set(KINDS)
    piles, counts = (
        Counter((mutant.kind, mutant.path.split("/")[0]) for mutant in chosen)
        for chosen in (found, drawn)
    )
    # As many of every kind and room, but where there are no more.
    unused = {pile: counts[pile] for pile in piles if counts[pile] < piles[pile]}
    assert max(counts.values()) - min(unused.values()) <= 1
    assert len({mutant.path for mutant in drawn}) > 10


def test_all_of_a_small_file_are_drawn_once():
    found = all_mutants(ROOT, ["golden/arithmetic/bounds.py"])
    drawn = draw(found, 10_000, 0, ROOT)
    assert sorted(m.name for m in drawn) == sorted(m.name for m in found)


def test_only_what_a_change_touches(checkout):
    file = checkout / "hdl" / "a.py"
    assert changed_lines(checkout, "main") == {}
    file.write_text("x = 1\nw = 0\ny = 9\nz = 3\n")
    (checkout / "hdl" / "new.py").write_text("a = 1\nb = 2\n")
    (checkout / "hdl" / "notes.md").write_text("no code\n")
    lines = changed_lines(checkout, "main")
    assert lines == {"hdl/a.py": {2, 3}, "hdl/new.py": {1, 2}}
    chosen = touched(all_mutants(checkout, sorted(lines)), lines)
    assert [(m.path, m.before) for m in chosen] == [
        *(("hdl/a.py", "0"), ("hdl/a.py", "9")),
        *(("hdl/new.py", "1"), ("hdl/new.py", "2")),
    ]


def test_a_branch_that_is_not_there_is_an_error(checkout):
    with pytest.raises(ValueError, match=r"^git merge-base nowhere HEAD: must succeed, got "):
        changed_lines(checkout, "nowhere")


@pytest.mark.parametrize("name", ["runtime", "hdl/nothing.py", "/etc", "hdl/../runtime", "..", ""])
def test_files_elsewhere_are_an_error(name):
    with pytest.raises(ValueError, match=r"^files: must be files or folders below hdl, golden, "):
        source_files(ROOT, [name])


@pytest.mark.medium
def test_a_files_own_tests_come_first_then_those_that_import_it():
    own, rest, *deep = stages_of("hdl/core/soma.py", ROOT)
    assert set(own.tests) == {"tests/hdl/core/test_soma.py", "tests/hdl/core/test_soma_steps.py"}
    assert (own.options, rest.options) == (OWN, QUICK)
    assert not set(own.tests) & set(rest.tests)
    assert {"tests/hdl/core/test_core.py", "tests/hdl/test_node.py"} <= set(rest.tests)
    assert deep == list(DEEP["hdl"])
    assert stages_of("hdl/core/soma.py", ROOT, is_quick=True) == [own, rest]
    part = stages_of("hdl/core/address_generator.py", ROOT)[0]
    assert (part.tests, part.options) == (("tests/hdl/core/test_axon_in.py",), OWN)
    stages = stages_of("compiler/lowering/ranges.py", ROOT)
    assert stages[0].tests == ("tests/compiler/lowering/test_ranges.py",)
    assert "tests/compiler/test_compile_network.py" in stages[1].tests
    scaled = stages_of("compiler/lowering/neurons/scaled.py", ROOT)
    assert any("tests/compiler/lowering/test_integrate.py" in stage.tests for stage in scaled)
    assert all("tests/compiler/frontend/test_resample.py" not in s.tests for s in stages)


@pytest.mark.medium
def test_every_file_has_tests_that_are_there():
    for path in source_files(ROOT):
        assert len(stages_of(path, ROOT)) > len(DEEP[Path(path).parts[0]]), path
    for stage in [s for room in ROOMS for s in DEEP[room]]:
        for name in stage.tests:
            assert (ROOT / name.partition("::")[0]).exists(), name
