# SPDX-License-Identifier: Apache-2.0
"""The list of proofs: each property once, its twins with it, nothing that was not shown."""

import json
import types
from pathlib import Path

import pytest

from tests.support.formal import planted
from tests.support.proofs import collect_results, forget_results, property_records


def result(name, holds, *classes, file="tests/formal/test_a.py"):
    return {
        "name": name,
        "holds": holds,
        "classes": list(classes),
        "statement": f"{classes[0]} holds.",
        "file": file,
        "mode": "bounded",
        "depth": 3,
        "from_any_state": False,
        "sizes": "2 words",
        "seconds": 0.1,
    }


RESULTS = [
    result("queue_3", True, "Keeps"),
    result("queue_2", True, "Keeps"),
    result("queue_swaps", False, "Keeps"),
    result("queue_loses", False, "Loses", "Keeps"),
    result("other_file", False, "Keeps", file="tests/formal/test_b.py"),
]


def test_twins_stand_with_the_property_they_are_of():
    (record,) = property_records(RESULTS)
    assert record["property"] == "Keeps"
    assert record["statement"] == "Keeps holds."
    assert [proof["name"] for proof in record["proofs"]] == ["queue_2", "queue_3"]
    assert record["twins"] == ["queue_loses", "queue_swaps"]
    assert record["proofs"][0]["sizes"] == "2 words"


def test_only_proofs_of_the_formal_tests_are_listed_and_old_ones_forgotten(tmp_path):
    for entry in (*RESULTS, result("helper", True, "Helps", file="tests/support/test_formal.py")):
        folder = tmp_path / entry["name"]
        folder.mkdir()
        (folder / "result.json").write_text(json.dumps(entry))
    assert [record["property"] for record in collect_results(tmp_path)] == ["Keeps"]
    assert len(json.loads((tmp_path / "proofs.json").read_text())) == 1
    forget_results(tmp_path)
    assert not list(tmp_path.rglob("*.json"))
    assert collect_results(tmp_path) == []


def module_of(path: Path, text: str) -> types.ModuleType:
    path.write_text(text)
    module = types.ModuleType("plain")
    module.__file__ = str(path)
    return module


def test_planted_changes_one_place_and_leaves_the_module_alone(tmp_path):
    module = module_of(tmp_path / "plain.py", "LIMIT = 3\nOTHER = LIMIT + 1\n")
    assert planted(module, ("LIMIT = 3", "LIMIT = 4")).OTHER == 5
    assert planted(module).OTHER == 4
    assert not hasattr(module, "OTHER")


@pytest.mark.parametrize(("old", "n"), [("LIMIT", 2), ("gone", 0)])
def test_a_fault_that_has_no_place_is_refused(tmp_path, old, n):
    module = module_of(tmp_path / "plain.py", "LIMIT = 3\nOTHER = LIMIT + 1\n")
    with pytest.raises(LookupError, match=rf"^plain\.py: must have one '{old}', got {n}$"):
        planted(module, (old, "x"))
