# SPDX-License-Identifier: Apache-2.0
"""Runs side by side: what differs, by how much, layer by layer, as text and as a page."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stemcore.runtime.commands.main import main
from stemcore.runtime.report.comparison import compare_runs, short_names, text_of
from stemcore.runtime.report.comparison_rows import merged
from stemcore.runtime.report.figures import write_json
from stemcore.runtime.report_html.comparison import comparison_page, default_page
from tests.support.reports import golden_report, layer, rtl_report, settings

NASTY = "<script>alert(1)</script>"


@pytest.fixture
def runs(tmp_path):
    """Folders of reports, by name."""

    def write(**reports):
        for name, report in reports.items():
            write_json(tmp_path / name / "report.json", report)
        return [tmp_path / name for name in reports]

    return write


def sparser():
    """The made-up run with a table: fewer operations, and a layer of another name."""
    report = rtl_report()
    return {
        **report,
        "settings": settings(tables="rot1", bits=6),
        "hashes": {**report["hashes"], "program": "c" * 64},
        "accuracy": {**report["accuracy"], "quantized": 0.97},
        "sops_per_image": 522.5,
        "cycles_per_image": {**report["cycles_per_image"], "interval": 406.0},
        "layers": [layer("conv", 500.0), layer("pool", 7.0), layer("dense", 22.5)],
    }


def rows(table):
    return {row.title: row.texts for row in table.rows}


def changes(table):
    return {row.title: row.changes() for row in table.rows}


def test_settings_that_differ_and_no_others(runs):
    compared = compare_runs(runs(plain=rtl_report(), sparse=sparser()))
    assert compared.names == ("plain", "sparse")
    assert rows(compared.settings) == {
        "bits": ("8", "6"),
        "tables": ("none", "rot1"),
        "hashes.program": ("b" * 12, "c" * 12),
    }


def test_equal_runs_have_no_setting_that_differs(runs):
    compared = compare_runs(runs(a=rtl_report(), b=rtl_report()))
    assert compared.settings.rows == ()
    assert "Settings that differ\nnone\n" in text_of(compared)
    assert set().union(*changes(compared.figures).values()) == {"", "="}
    assert compared.notes == ()


def test_versions_commit_and_machine_are_settings_too(runs):
    other = rtl_report(
        commit={"hash": "f" * 40, "is_dirty": True},
        versions={"python": "3.12.1", "stemcore": "0.1.0"},
        machine={"processors": 8, "platform": "made up"},
    )
    found = rows(compare_runs(runs(a=rtl_report(), b=other)).settings)
    assert found == {
        "versions.python": ("3.11.7", "3.12.1"),
        "commit.hash": ("012345678901", "f" * 12),
        "commit.is_dirty": ("no", "yes"),
        "machine.processors": ("2", "8"),
    }
    installed = rtl_report(commit=None)
    found = rows(compare_runs(runs(a=rtl_report(), b=installed)).settings)
    assert found == {"commit.hash": ("012345678901", "–"), "commit.is_dirty": ("no", "–")}


def test_figures_and_their_changes(runs):
    compared = compare_runs(runs(plain=rtl_report(), sparse=sparser()))
    figures, against = rows(compared.figures), changes(compared.figures)
    assert figures["SOPs"] == ("1,045", "522")
    assert against["SOPs"] == ("", "-50.0 %")
    assert figures["accuracy, quantized"] == ("98.00 %", "97.00 %")
    assert against["accuracy, quantized"] == ("", "-1.00 points")
    assert against["accuracy, float"] == ("", "=")
    assert against["cycles, interval"] == ("", "-50.0 %")
    assert figures["energy with memories and links"] == ("200.00 pJ", "200.00 pJ")
    assert figures["golden = RTL"] == ("equal", "equal")


def test_layers_of_different_networks_stand_in_one_order(runs):
    compared = compare_runs(runs(plain=rtl_report(), sparse=sparser()))
    sops, spikes, cycles, energy = compared.layers
    assert rows(sops) == {"conv": ("1,000", "500"), "pool": ("–", "7"), "dense": ("45", "22")}
    assert changes(sops) == {"conv": ("", "-50.0 %"), "pool": ("", ""), "dense": ("", "-50.0 %")}
    assert rows(cycles)["conv"] == ("250", "125")
    assert rows(energy) == {
        "conv": ("100.00 pJ", "100.00 pJ"),
        "pool": ("–", "–"),
        "dense": ("100.00 pJ", "100.00 pJ"),
    }
    assert list(rows(spikes)) == ["conv", "pool", "dense"]


def test_a_run_without_a_chip_leaves_gaps(runs):
    compared = compare_runs(runs(golden=golden_report(), rtl=rtl_report()))
    figures = rows(compared.figures)
    assert figures["golden = RTL"] == ("not run", "equal")
    assert figures["cycles, interval"] == ("–", "812")
    assert changes(compared.figures)["cycles, interval"] == ("", "")
    assert figures["SOPs"] == ("1,045", "1,045")
    alone = compare_runs(runs(a=golden_report(), b=golden_report()))
    assert not any(title.startswith("cycles") for title in rows(alone.figures))
    assert [table.title for table in alone.layers] == ["SOPs of each layer", "Spikes of each layer"]


def test_what_makes_figures_hard_to_compare_is_said(runs):
    report = rtl_report()
    other = rtl_report(
        hashes={**report["hashes"], "data": "d" * 64},
        accuracy={**report["accuracy"], "images": 100},
        differences=["conv: image 0, neuron .."],
    )
    compared = compare_runs(runs(a=report, b=other))
    assert [note.split(":")[0].split(";")[0] for note in compared.notes] == [
        "The runs are not of the same images",
        "Accuracies rest on different numbers of test images",
        "At least one run differs from golden",
    ]
    assert all(note in text_of(compared) for note in compared.notes)


@pytest.mark.parametrize(
    ("lists", "result"),
    [
        ([["a", "b"]], ["a", "b"]),
        ([["a", "c"], ["a", "b", "c"]], ["a", "b", "c"]),
        ([["b"], ["a", "b", "c"]], ["a", "b", "c"]),
        ([["a"], ["x", "y"]], ["x", "y", "a"]),
        ([["a", "b"], ["b", "a"]], ["a", "b"]),
        ([["a"], []], ["a"]),
    ],
)
def test_layers_are_merged(lists, result):
    assert merged(lists) == result


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["/s/a/report.json", "/s/b/report.json"], ("a", "b")),
        (["/s/a/report.json", "/t/a/report.json"], ("s/a", "t/a")),
        (["/s/a/report.json", "/s/a/earlier/x/report.json"], ("a", "a/earlier/x")),
        (["/s/old.json", "/s/new.json"], ("old.json", "new.json")),
        (["/report.json", "/s/report.json"], ("/", "s")),
    ],
)
def test_names_are_as_short_as_they_can_be(files, names):
    found = short_names([Path(file) for file in files])
    assert tuple(name or "/" for name in found) == names


@pytest.mark.parametrize("words", [["plain"], ["plain", "plain"], ["plain", "nowhere"]])
def test_what_is_no_choice_of_runs_ends_with_two(runs, tmp_path, monkeypatch, capsys, words):
    runs(plain=rtl_report())
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words]) == 2
    message = {
        ("plain",): "RUNS: two runs or more must be named, got 1",
        ("plain", "plain"): "RUNS: every run must be named once, plain came more than once",
        (
            "plain",
            "nowhere",
        ): "nowhere: must be the report of a run, got: No such file",
    }[tuple(words)]
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not (tmp_path / "sim_build").exists()


def test_a_file_of_another_kind_ends_with_two(runs, tmp_path, capsys):
    (run,) = runs(plain=rtl_report())
    other = tmp_path / "pareto.json"
    write_json(other, {"points": []})
    assert main(["compare", str(run), str(other)]) == 2
    assert f"error: {other}: must be the report of a run, has no field" in capsys.readouterr().err


def test_command_prints_tables_and_names_its_page(runs, tmp_path, monkeypatch, capsys):
    folders = runs(plain=rtl_report(), sparse=sparser())
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *map(str, folders)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("[1] plain\n[2] sparse\n\nSettings that differ\n")
    assert re.search(r"^SOPs +1,045 +522 \(-50\.0 %\)$", shown, re.MULTILINE)
    (page,) = (tmp_path / "sim_build" / "compare").iterdir()
    assert shown.endswith(f"\npage         {page}\n")
    assert re.fullmatch(r"plain_sparse\.[0-9a-f]{8}\.html", page.name)
    # In another order it is another comparison.
    assert default_page(compare_runs(folders[::-1])) != page
    own = tmp_path / "own" / "page.html"
    assert main(["compare", *map(str, folders), "--out", str(own)]) == 0
    assert own.read_text() == page.read_text()


class Page(HTMLParser):
    """Checks that elements nest, and collects cells and everything that would be fetched."""

    VOID = ("meta", "br", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.fetched, self.cells = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.fetched += [value for name, value in attributes if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and {"td", "th"} & set(self.open):
            self.cells[-1] += data


def test_page_shows_every_row_and_needs_nothing_beside_it(runs):
    report = sparser()
    report["settings"]["tables"] = NASTY
    compared = compare_runs(runs(plain=rtl_report(), sparse=report))
    text = comparison_page(compared)
    page = Page(text)
    assert page.fetched == []
    assert "<script" not in text
    assert NASTY in page.cells
    for table in (compared.settings, compared.figures, *compared.layers):
        for row in table.rows:
            assert row.title in page.cells
    # The longest bar of a row is the largest number's.
    assert re.search(
        r"<td>1,045 <small>\xa0<.*?width:100\.0%.*?<td>522 <small>-50\.0 %<.*?width:50\.0%", text
    )
