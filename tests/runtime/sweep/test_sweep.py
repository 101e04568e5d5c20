# SPDX-License-Identifier: Apache-2.0
"""A sweep measures each point once, and shows what it found."""

import json
import re

import pytest

from stemcore.runtime.chip_estimate import estimate_chip
from stemcore.runtime.commands.main import main
from stemcore.runtime.prepare import prepare
from stemcore.runtime.prepared import finish
from stemcore.runtime.report.evaluation import golden_accuracy
from stemcore.runtime.settings import Settings
from stemcore.runtime.sweep.content import TABLES, check_content, content_of
from stemcore.runtime.sweep.page import sweep_page
from stemcore.runtime.sweep.point import measure_point, plain_settings, point_unit, settings_of
from stemcore.runtime.sweep.sweep import Point
from stemcore.runtime.sweep.tables import FIGURES as FIGURE_NAMES
from stemcore.runtime.sweep.tables import front, markdown, screen

FIGURES = {
    "metric": "accuracy",
    "accuracy": 0.5,
    "accuracy_error": 0.05,
    "sops": 1000.0,
    "spikes": 10.0,
    "interval": 200.0,
    "energy_pj": 5e3,
    "cores": 2,
}


def point(bits, tables, **figures):
    return Point({"bits": bits, "tables": tables}, FIGURES | figures)


def refused(bits, tables):
    return Point({"bits": bits, "tables": tables}, {"refused": "fc: <must> | fit"})


POINTS = [
    point("8", "none", accuracy=0.95, sops=4000.0),
    point("8", "rd20", accuracy=0.9, sops=2000.0),
    point("4", "none", accuracy=0.9, sops=3000.0),
    refused("4", "rd20"),
    point("2", "none", accuracy=0.1, sops=1000.0, accuracy_error=None),
]


def test_front_is_what_no_other_surpasses():
    assert front(POINTS) == [True, True, False, False, True]
    assert front([POINTS[1], POINTS[1]]) == [True, True]
    assert front([refused("4", "rd20")]) == [False]


def test_tables_show_every_point_and_why_one_was_refused():
    text = markdown(POINTS)
    assert text.splitlines()[:3] == [
        "| bits | tables | " + " | ".join(FIGURE_NAMES) + " | front |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| 8 | none | 95.00 ± 5.00 | 4,000 | 10 | 200 | 5.00 nJ | 2 | * |",
    ]
    assert "| 4 | rd20 | refused: fc: <must> \\| fit |" in text
    assert len(text.splitlines()) == 2 + len(POINTS)
    shown = screen(POINTS).splitlines()
    assert shown[-1] == "refused      bits 4, tables rd20: fc: <must> | fit"
    assert re.match(r"2 +none +10\.00 +1,000 ", shown[5])


def test_page_shows_every_point_and_nothing_of_theirs_is_markup():
    page = sweep_page("net <b> on digits", POINTS, 100)
    assert "<b> on digits" not in page
    assert "<must>" not in page
    assert page.count("<circle") == 3 * 4 + 2  # panels of measured points, two series
    assert page.count("point chosen") == 3 * 3
    assert "bits 8, tables rd20: 90.00 %" in page


def test_page_of_one_point_has_no_series():
    one = Point({}, FIGURES)
    assert sweep_page("a", [one], 5).count("<circle") == 3


def test_settings_survive_as_json(tmp_path):
    tables = tmp_path / "t.json"
    tables.write_text('{"fc1": "rot1"}')
    for settings in (
        Settings("digits_cnn"),
        Settings("digits_cnn", bits={"fc1": 4, "*": 8}, mesh=(3, 3), cores=6, preset="sim32"),
        Settings("digits_cnn", tables=str(tables), checkpoint=tmp_path / "w.safetensors"),
        Settings(str(tmp_path / "m.py") + ":build", data=tmp_path, dataset="digits"),
    ):
        plain = plain_settings(settings)
        assert settings_of(json.loads(json.dumps(plain))) == settings


def test_paths_mean_the_same_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.json").write_text("{}")
    plain = plain_settings(Settings("m.py:build", dataset="digits", tables="t.json"))
    assert plain["model"] == str(tmp_path / "m.py:build")
    assert plain["tables"] == str(tmp_path / "t.json")


def test_unit_changes_with_what_a_file_of_tables_says(tmp_path):
    path = tmp_path / "t.json"
    keys = set()
    for text in ('{"fc1": "rot1"}', '{"fc1": "rot2"}'):
        path.write_text(text)
        keys.add(point_unit(Settings("digits_cnn", tables=str(path)), 9, {"network": "a"}).key)
    assert len(keys) == 2


@pytest.mark.slow
def test_point_measures_what_other_commands_do(tmp_path, monkeypatch):
    """Accuracy as ``check`` has it; cores and cycles of the program that ``estimate`` compiles."""
    monkeypatch.chdir(tmp_path)
    settings = Settings("digits_cnn", bits=4)
    content = content_of(settings, 40)
    found = measure_point(point_unit(settings, 40, content).arguments, {})
    prepared = prepare(settings, n_train=512, n_test=40)
    assert found["accuracy"] == golden_accuracy(prepared, 40)
    chip = estimate_chip(finish(prepared).program, None)
    assert (found["cores"], found["macs"]) == (chip.n_cores, chip.macs)
    assert found["neurons"] == chip.neurons
    wrong = {**content, TABLES: "none", "network": "another"}
    with pytest.raises(
        ValueError, match=r"^sweep: network of digits_cnn on digits must be the sam"
    ):
        check_content(prepared, 40, wrong)
    wrong = {**content, TABLES: "none", "test images": "others"}
    with pytest.raises(ValueError, match=r"^sweep: test images of digits_cnn on digits must be th"):
        check_content(prepared, 40, wrong)


@pytest.mark.slow
def test_points_that_did_not_change_are_not_run_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["sweep", "--model=digits_cnn", "--images=20", "--bits=3,4"]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert "0 of 2 units are there from before; 2 run on this process" in first
    (folder,) = (tmp_path / "sim_build" / "sweep").iterdir()
    points = json.loads((folder / "sweep.json").read_text())["points"]
    assert [p["choice"] for p in points] == [{"bits": "3"}, {"bits": "4"}]
    assert points[0]["sops"] < points[1]["sops"]
    assert "</html>" in (folder / "sweep.html").read_text()
    assert main(words) == 0
    assert "units        2 of 2 units are there from before\n" in capsys.readouterr().out
    assert json.loads((folder / "sweep.json").read_text())["points"] == points
    assert main([*words[:-1], "--bits=4,5", "--cores=1"]) == 2  # no point has room on one core
    assert "sweep: one point must compile, none does; " in capsys.readouterr().err


@pytest.mark.medium
def test_more_images_than_there_are_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "--model=digits_cnn", "--images=100000"]) == 2
    assert re.search(r"error: IMAGES: must lie in 1\.\.360, the test", capsys.readouterr().err)
