# SPDX-License-Identifier: Apache-2.0
"""The page beside other accelerators is its data file, and our rows are runs that were exact."""

import json
import re

import pytest

from stemcore.benchmarks.peers import ours
from stemcore.benchmarks.peers.__main__ import DATA_FILE, PAGE
from stemcore.benchmarks.peers.ours import CASES, Case, report_of, row_of
from stemcore.benchmarks.peers.page import page
from stemcore.benchmarks.peers.placed import NODE, ULX3S
from stemcore.benchmarks.peers.quoted import ROWS
from stemcore.benchmarks.peers.row import MEASURED, QUOTED, SIMULATED, Row
from stemcore.models.registry import MODELS

CASE = Case("lenet5-mnist", "LeNet-5", "MNIST", bits=4)
REPORT = {
    "dataset": "mnist",
    "bit_exact": {"torch_golden": True, "golden_program": True, "golden_rtl": True},
    "differences": [],
    "cycles_per_image": {"interval": 1000.0, "latency": 5000.0},
    "cores": 12,
    "lanes": 32,
    "parameters": 61_750,
    "energy_memory": {"pj_per_image": 2.5e6},
    "accuracy": {"quantized": 0.987, "images": 1000},
}


def stored():
    return json.loads(DATA_FILE.read_text())


def test_page_is_what_the_data_file_says():
    assert PAGE.read_text() == page(stored())


@pytest.mark.parametrize("placed", [NODE, ULX3S])
def test_placed_figures_are_those_of_the_measurements(placed):
    rows = (PAGE.parent / "measurements.md").read_text().splitlines()
    (row,) = (row for row in rows if row.startswith("|") and placed.command in row.split("|")[-2])
    assert f" {placed.luts:,} LUT4" in row and f" {placed.clock_mhz:g} MHz" in row


def test_every_row_is_on_the_page_once():
    text = PAGE.read_text()
    assert len(re.findall(r"^\| (?!---|system)", text, re.M)) == len(stored())


def test_data_file_has_our_cases_and_all_that_is_quoted():
    rows = stored()
    assert [row["source"] for row in rows if row["how"] == MEASURED] == [c.command for c in CASES]
    assert [row for row in rows if row["how"] != MEASURED] == [row.to_dict() for row in ROWS]
    for row in rows:
        if row["how"] == MEASURED:
            assert "every spike equal" in row["note"]
            assert row["per_second"] == pytest.approx(1e6 * row["clock_mhz"] / row["cycles"])
    ours_now = {case.command: case for case in CASES}
    for row in rows:
        if row["how"] == MEASURED:
            case = ours_now[row["source"]]
            assert row["clock_mhz"] == (case.placed.clock_mhz if case.placed else NODE.clock_mhz)
            assert (row["device"] == ULX3S.device) == (case.placed is not None)


def test_quoted_rows_say_where_they_are_from_and_what_they_lack():
    for row in ROWS:
        assert row.how in (QUOTED, SIMULATED)
        assert row.source
        if row.energy is not None:
            assert "measured" in row.energy
        figures = (row.accuracy, row.per_second, row.energy, row.luts)
        assert any(figure is not None for figure in figures), row.system


def test_our_cases_are_registered_networks():
    assert {case.model for case in CASES} <= set(MODELS)
    assert CASE.command == "make sim MODEL=lenet5 DATASET=mnist BITS=4 IMAGES=8"
    assert CASE.settings.bits == 4


def test_our_row_has_the_figures_of_the_run():
    row = row_of(CASE, REPORT)
    assert (row.how, row.source) == (MEASURED, CASE.command)
    assert (row.accuracy, row.images, row.cycles) == (98.7, 1000, 1000.0)
    assert row.per_second == pytest.approx(1000 * NODE.clock_mhz)
    assert row.energy.startswith("2.50 µJ, model of 45 nm")
    assert row.luts.startswith(f"12 nodes of 32 lanes; {NODE.luts:,} LUT4 each")


def test_untrained_network_has_no_accuracy():
    row = row_of(Case("ds_cnn-digits", "x", "random weights", images=2, trained=False), REPORT)
    assert (row.accuracy, row.images) == (None, None)
    assert row.dataset == "random weights"


FIGURES = ("load_flits", "load_words", "cycles", "flits_in", "flits_out")
TURNS = {
    "cores_on_chip": 1,
    "batch": 2,
    "batches": 1,
    "groups": [
        dict(zip(FIGURES, (16_000, 8_580, 85_800.0, 31.0, 3.0), strict=True)),
        dict(zip(FIGURES, (0, 0, 858.0, 3.0, 310.0), strict=True)),
    ],
}
ON_BOARD = Case("lenet5-mnist", "LeNet-5", "MNIST", images=2, placed=ULX3S)


def test_a_row_of_a_board_has_its_clock_and_its_line():
    report = REPORT | {"images": 2, "virtual_cores": TURNS}
    row = row_of(ON_BOARD, report)
    assert row.source == "make sim MODEL=lenet5 DATASET=mnist PRESET=ecp5 CORES_ON_CHIP=1 IMAGES=2"
    assert (row.clock_mhz, row.device) == (ULX3S.clock_mhz, "LFE5U-85F")
    assert row.per_second == pytest.approx(ULX3S.clock_mhz * 1e6 / 1000)
    assert row.luts.startswith(f"{ULX3S.luts:,} LUT4")
    # Frames of 31 flits take 248 bytes and 14, ten bits each at 1 Mbaud. The second group is as
    # slow as its 310 flits out, the first as its 1 ms of cycles at the clock or its 31 flits in.
    frame = 262 * 10 / 1e6
    load = (8_580 * 8 + 277 * 14) * 10 / 1e6 / 2
    first = max(85_800 / (ULX3S.clock_mhz * 1e6), frame)
    _, on_line = ULX3S.rates(report)
    assert on_line == pytest.approx(1 / (load + first + 10 * frame))
    assert f"{on_line:.2g} images/s as flits on a serial line of 1,000,000 baud" in row.note


def test_a_run_with_a_node_for_every_core_is_none_of_a_board(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "sim_build" / "lenet5-mnist-ecp5" / "report.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(REPORT | {"images": 2, "virtual_cores": None}))
    asked = []

    def simulate(settings, **options):
        asked.append((settings.preset, options["cores_on_chip"]))
        path.write_text(json.dumps(REPORT | {"images": 2, "virtual_cores": TURNS}))

    monkeypatch.setattr(ours, "simulate", simulate)
    assert report_of(ON_BOARD)["virtual_cores"] == TURNS
    report_of(ON_BOARD)
    assert asked == [("ecp5", 1)]


def test_run_that_differs_gives_no_row():
    wrong = REPORT | {
        "bit_exact": REPORT["bit_exact"] | {"golden_rtl": False},
        "differences": ["fc: wrong"],
    }
    with pytest.raises(ValueError, match=r"^make sim MODEL=lenet5 .*: every spike .*: fc: wrong$"):
        row_of(CASE, wrong)


def test_runs_are_made_where_none_of_so_many_images_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = []
    path = tmp_path / "sim_build" / "lenet5-mnist-bits4" / "report.json"

    def simulate(settings, **options):
        asked.append((settings, options["n_images"], options.get("accuracy_images")))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(REPORT | {"images": options["n_images"]}))

    monkeypatch.setattr(ours, "simulate", simulate)
    assert report_of(CASE)["images"] == 8
    assert report_of(CASE)["images"] == 8
    # Accuracy rests on what `make sim` takes by itself: the test set of digits is small.
    assert asked == [(CASE.settings, 8, None)]
    path.write_text(json.dumps(REPORT | {"images": 4}))
    report_of(CASE)
    assert len(asked) == 2


def test_a_row_of_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match=r"^a: how must be measured, \.\., got 'guessed'"):
        Row("a", "b", "c", "guessed", "d")
