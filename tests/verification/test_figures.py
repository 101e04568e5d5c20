# SPDX-License-Identifier: Apache-2.0
"""The table of what was verified: counted from evidence, compared, shown."""

import json

import pytest

from tests.mutation.operators import KINDS
from tests.verification import __main__ as command
from tests.verification.figures import (
    FIGURES,
    MUTATE,
    MUTATION_RUN,
    STORED,
    Evidence,
    as_line,
    as_markdown,
    gather,
    measure,
    replace_marked,
    shortfalls,
)


@pytest.fixture
def build(tmp_path):
    """What runs of the tests leave."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    network = {"kind": "network", "test": "t", "cores": 2, "images": 5, "layers": 1, "spikes": 9}
    garbage = [
        {"kind": "garbage", "test": "t", "kind_of": name, "moment": 3}
        for name in ("END", "END", "READ")
    ]
    lines = [json.dumps(record) for record in (network, network, *garbage)]
    (folder / "system-1.jsonl").write_text("\n".join(lines[:1]) + "\n")
    (folder / "system-2.jsonl").write_text("\n".join(lines[1:]) + "\n")
    counts = {"passed": 5, "failed": 0, "skipped": {}}
    files = {"tests/faults/test_readers.py": 4, "tests/formal/test_noc.py": 1}
    (folder / "unit.json").write_text(json.dumps({**counts, "files": files}))
    (folder / "system.json").write_text(json.dumps({**counts, "files": files}))
    proof = {
        "property": "P",
        "proofs": [{"mode": "inductive"}, {"mode": "bounded"}],
        "twins": ["a"],
    }
    (tmp_path / "formal").mkdir()
    (tmp_path / "formal" / "proofs.json").write_text(json.dumps([proof, proof]))
    return tmp_path


def test_figures_are_counted_from_what_runs_left(build):
    found = measure(gather(build))
    assert found == {
        **{"proof_tests": 2, "properties": 2, "inductive": 2, "bounded": 2, "planted": 2},
        **{"networks": 2, "images": 10, "torch_networks": 0, "garbage_kinds": 2, "garbage": 3},
        **{"faults": 8, "bit_flips": 0},
    }
    # What make test does not make counts only where it was made.
    assert "mutants_caught" not in found
    code = {"node.v": {"line": {"points": 200, "hit": 199}, "toggle": {"points": 3, "hit": 2}}}
    coverage = {"goals": [{"reached": 3}], "code": code}
    made = measure(Evidence(mutants={"caught": 39, "tried": 40}, coverage=coverage))
    assert (made["mutants_caught"], made["mutants_percent"], made["goal_bins"]) == (39, 97, 3)
    assert (made["node_line"], made["node_toggle"]) == (99, 66)
    assert "router_line" not in made


def test_the_line_says_what_every_run_does_and_what_others_did():
    line = as_line({"networks": 40, "goal_bins": 3, "node_line": 99, "mutants_caught": 1200})
    assert "at least: 40 random networks equal on RTL in every spike and counter; a change" in line
    assert line.endswith(
        "By runs of their own, at least: 99 % of lines of a node's Verilog, "
        "1,200 faults planted in the sources noticed."
    )
    assert "By runs of their own" not in as_line({"networks": 40})


def test_a_figure_that_falls_is_named():
    assert shortfalls({"networks": 40}, {"networks": 40}) == []
    (line,) = shortfalls({"networks": 39, "images": 5}, {"networks": 40, "images": 5})
    assert line.startswith("networks: must be at least 40, is 39 (")
    assert shortfalls({}, {"goal_bins": 3}) == []


def test_the_command_fails_where_a_figure_has_fallen(build, tmp_path, monkeypatch, capsys):
    stored = tmp_path / "stored.json"
    monkeypatch.setattr(command, "STORED", stored)
    stored.write_text('{"networks": 2}')
    assert command.main(["--check", "--build", str(build)]) == 0
    stored.write_text('{"networks": 3}')
    assert command.main(["--check", "--build", str(build)]) == 1
    assert "verify: networks: must be at least 3, is 2" in capsys.readouterr().err


def test_the_table_is_stored_and_shown(build, tmp_path, monkeypatch):
    stored, page = tmp_path / "stored.json", tmp_path / "page.md"
    monkeypatch.setattr(command, "STORED", stored)
    monkeypatch.setattr(command, "PAGES", {page: as_markdown})
    stored.write_text('{"mutants_caught": 190}')
    page.write_text("a\n<!-- verified: begin -->old<!-- verified: end -->\nb\n")
    assert command.main(["--store", "--build", str(build)]) == 0
    figures = json.loads(stored.read_text())
    assert (figures["networks"], figures["mutants_caught"]) == (2, 190)
    assert page.read_text() == (
        f"a\n<!-- verified: begin -->{as_markdown(figures)}<!-- verified: end -->\nb\n"
    )
    run = {"caught": 195, "tried": 200}
    monkeypatch.setattr(command, "MUTATION_RUN", tmp_path / "run.json")
    (build / "mutation").mkdir()
    (build / "mutation" / "summary.json").write_text(json.dumps(run))
    assert command.main(["--store", "--build", str(build)]) == 0
    assert json.loads((tmp_path / "run.json").read_text()) == run
    assert json.loads(stored.read_text())["mutants_caught"] == 195
    with pytest.raises(ValueError, match=r"^here: must have the marks <!-- verified: begin -->"):
        replace_marked("no marks", "table", "here")


def test_the_run_of_planted_faults_is_the_one_of_the_table():
    """At least 200 faults that change something; of these, tests notice 97 of 100."""
    run, figures = json.loads(MUTATION_RUN.read_text()), json.loads(STORED.read_text())
    assert MUTATE == (
        f'make mutate FILES="{" ".join(run["asked"]["files"])}" MUTANTS={run["asked"]["number"]}'
    )
    assert figures["mutants_caught"] == run["caught"] == run["tried"] - len(run["survivors"])
    assert figures["mutants_percent"] == 100 * run["caught"] // run["tried"]
    assert run["tried"] >= 200
    assert run["caught"] >= 0.97 * run["tried"]
    assert sum(tried for _, tried in run["kinds"].values()) == run["tried"]
    assert set(run["kinds"]) == set(KINDS)


def test_the_pages_show_what_is_stored():
    figures = json.loads(STORED.read_text())
    assert set(figures) <= {figure.name for figure in FIGURES}
    for page, shown in command.PAGES.items():
        text = page.read_text()
        assert replace_marked(text, shown(figures), page.name) == text, "make verify"
