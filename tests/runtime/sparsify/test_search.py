# SPDX-License-Identifier: Apache-2.0
"""The search of tables: images that nobody trained or calibrated on, points, files."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

import stemcore.runtime.sparsify.search as module
from stemcore.compiler.errors import SparsifyError
from stemcore.compiler.sparsity.search import SCHEMES
from stemcore.compiler.sparsity.tables import read_tables
from stemcore.golden.network.forward import n_sops, run_network
from stemcore.runtime.prepare import prepare
from stemcore.runtime.report.run_folder import RunFolder
from stemcore.runtime.settings import Settings
from stemcore.runtime.sparsify.augmentation import (
    MAX_STRENGTH,
    TARGET,
    augmented_images,
    find_strength,
)
from stemcore.runtime.sparsify.pareto import Point, markdown, plot
from stemcore.runtime.sparsify.search import RESULTS, search_folder, sparsify

IMAGES = np.linspace(0, 255, 2 * 3 * 8 * 8).astype(np.uint8).reshape(2, 3, 8, 8)


def test_harder_images_follow_the_seed_and_leave_strength_zero_alone():
    np.testing.assert_array_equal(augmented_images(IMAGES, 0.0, 1), IMAGES)
    once, again = (augmented_images(IMAGES, 0.3, 1) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert once.dtype == np.uint8
    assert once.shape == IMAGES.shape
    assert (once != augmented_images(IMAGES, 0.3, 2)).any()


def test_a_harder_image_holds_a_piece_of_another_at_its_place(rng):
    """Image i is filled with i, so that every pixel tells where it is from."""
    images = np.broadcast_to(np.arange(50, dtype=np.uint8)[:, None, None, None], (50, 2, 8, 6))
    for i, copy in enumerate(augmented_images(images, 0.25, 3)):
        foreign = copy[0] != i
        if not foreign.any():
            continue
        assert foreign.sum() == 4 * 3
        rows, columns = np.nonzero(foreign)
        assert (np.ptp(rows), np.ptp(columns)) == (3, 2)
        assert len(set(copy[:, foreign].ravel())) == 1
    changed = (augmented_images(images, 0.25, 3) != images).any(axis=(1, 2, 3))
    assert changed.sum() >= 45


def test_strength_is_found_by_bisection():
    strength = find_strength(lambda s: 1 - 0.4 * s)
    assert strength == pytest.approx((1 - TARGET) / 0.4, abs=MAX_STRENGTH / 2**6)
    assert find_strength(lambda s: 0.5) == 0.0
    assert find_strength(lambda s: 1.0) > 0.95 * MAX_STRENGTH


@pytest.mark.slow
def test_search_keeps_the_budget_and_its_file_is_read_by_tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    report, folder = sparsify(Settings("digits_cnn"), budget=1.0, say=said.append)
    assert folder == tmp_path / "sim_build" / "digits_cnn-digits" / "sparsify-budget1"
    assert json.loads((folder / "pareto.json").read_text()) == report
    assert report["settings"]["model"] == "digits_cnn"
    assert set(report["hashes"]) == {"weights", "training_images", "data"}
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == {
        "pareto.json",
        "pareto.md",
        "pareto.svg",
        "tables-hybrid.json",
        "tables-rd.json",
        "tables.json",
    }
    parts = report["images"]
    assert 512 <= parts["ranking"][0] < parts["ranking"][1] == parts["validation"][0]
    assert parts["validation"][1] == 1437
    for scheme, entry in report["chosen"].items():
        assert entry["lost"] - entry["error"] <= 0.01
        assert entry["sops"] < 0.7 * report["none"]["sops"]
        assert entry["cycles"] < 0.8 * report["none"]["cycles"]
        assert entry["test"]["sops"] < 0.7 * report["none"]["test"]["sops"]
        written = read_tables(str(folder / f"tables-{scheme}.json"))
        assert written == entry["tables"]
    best = report["chosen"][report["best"]]
    assert best["sops"] == min(entry["sops"] for entry in report["chosen"].values())
    assert read_tables(str(folder / "tables.json")) == best["tables"]
    ran = prepare(Settings("digits_cnn", tables=str(folder / "tables.json")))
    values = run_network(ran.network, ran.integers)
    sops = sum(s.mean() for s in n_sops(ran.network, values).values())
    assert sops == pytest.approx(best["test"]["sops"])
    assert "| rd |" in (folder / "pareto.md").read_text()
    ElementTree.fromstring((folder / "pareto.svg").read_text())


@pytest.mark.parametrize(
    ("budget", "schemes", "name"),
    [
        (0.5, ("hybrid", "rd"), "sparsify"),
        (0.5, ("rd", "hybrid"), "sparsify"),
        (1.0, ("hybrid", "rd"), "sparsify-budget1"),
        (0.25, ("rd",), "sparsify-budget0.25-rd"),
        (0.5, ["hybrid"], "sparsify-hybrid"),
    ],
)
def test_every_search_has_a_folder_of_its_own(budget, schemes, name):
    settings = Settings("digits_cnn", bits=6)
    folder = search_folder(settings, budget, schemes)
    assert (folder.parent.name, folder.name) == ("digits_cnn-digits-bits6", name)
    assert search_folder(settings, budget, schemes, "cycles").name == f"{name}-cycles"


@pytest.mark.medium
def test_a_search_that_fails_leaves_no_tables_of_an_older_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings("digits_cnn")
    folder = search_folder(settings, 0.5, tuple(SCHEMES))
    with RunFolder(folder, "search", RESULTS) as place:
        for name in ("tables.json", "pareto.json"):
            (place.aside / name).write_text("{}")
        place.publish()

    def fail(*arguments):
        raise SparsifyError("digits", "must have more images", "use a larger data set")

    monkeypatch.setattr(module, "Search", fail)
    with pytest.raises(SparsifyError, match=r"^digits: must have more images"):
        sparsify(settings)
    shown = {str(path.relative_to(folder)) for path in folder.rglob("*.json")}
    assert shown == {"earlier/search/tables.json", "earlier/search/pareto.json"}


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        (
            {"dataset": "digit_boxes"},
            {},
            r"^digit_boxes: must have images with one label each, has images with boxes; choose a ",
        ),
        ({"tables": "rot1"}, {}, r"^TABLES: must be none: the search finds them$"),
        ({}, {"budget": 0.0}, r"^BUDGET: must lie in 0\.\.100 percentage points, got 0\.0$"),
        ({}, {"budget": 101}, r"^BUDGET: must lie in"),
        ({}, {"schemes": ["x"]}, r"^SCHEME: must be of hybrid, rd, got \['x'\]$"),
        ({}, {"schemes": []}, r"^SCHEME: must be of hybrid, rd, got \[\]$"),
        ({}, {"cost": "time"}, r"^COST: must be one of sops, cycles, got 'time'$"),
    ],
)
def test_what_cannot_be_searched_is_refused(settings, options, message):
    with pytest.raises(SparsifyError, match=message):
        sparsify(Settings("digits_cnn", **settings), **options)


def points():
    base = Point("none", {}, 0.9, 0.0, 0.0, 0.0, 100e6, 5e3, 2000.0)
    return base, [
        Point("rd", {"conv": "rd2"}, 0.899, 0.001, 0.001, 0.01, 80e6, 4e3, 1800.0),
        Point("rd", {"conv": "rd5"}, 0.895, 0.005, 0.002, 0.02, 60e6, 3e3, 1500.0, chosen=True),
        Point("hybrid", {}, 0.9, 0.0, 0.0, 0.0, 100e6, 5e3, 2000.0),
    ]


def test_markdown_states_every_point():
    base, others = points()
    lines = markdown(others, base).splitlines()
    assert lines[2] == "| none | 90.00 % | | | 100.00M | 5.0k | 2,000 | |"
    assert lines[4] == (
        "| **rd** (chosen) | 89.50 % | +0.50 ± 0.20 | 0.0200 | -40.0 % | -40.0 % | -25.0 % | "
        "conv rd5 |"
    )
    assert len(lines) == 6


def test_plot_has_three_panels_and_escapes_its_title():
    base, others = points()
    root = ElementTree.fromstring(plot(others, base, "a < b & c"))
    texts = ["".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "a < b & c"
    assert sum("(100: no tables)" in text for text in texts) == 3
    circles = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    # Each point and the network without tables in three panels, and two entries of the legend.
    assert len(circles) == 3 * 4 + 2
    assert sum(circle.get("stroke") == "black" for circle in circles) == 3
