# SPDX-License-Identifier: Apache-2.0
"""The report on the screen: what it says, and that it fits."""

from dataclasses import replace

import pytest

from stemcore.runtime.engines.result import GroupRun, VirtualRun
from stemcore.runtime.report.figures import virtual_figures
from stemcore.runtime.report.screen import (
    LAYER_WIDTH,
    LINE_WIDTH,
    entry,
    shortened,
    summary,
    table,
    virtual_text,
)
from tests.support.made_up_run import made_up_report

GROUP = GroupRun(2, ("conv",), 100, 60, 250.0, 20.0, 10.0)


@pytest.fixture
def report():
    return made_up_report()


def unfolded(text):
    """Lines by name, whatever was cut where."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        name = line[:12].strip() or name
        found[name] = f"{found.get(name, '')} {line[13:].strip()}".strip()
    return found


def test_table_has_a_line_for_every_layer(report):
    lines = table(report).splitlines()
    head = ["layer", "neurons", "cores", "MACs", "SOPs", "spikes", "cycles", "lanes"]
    assert lines[0].split() == head
    assert lines[2].split() == ["conv", "128", "2", "1600", "1000", "20", "250", "62.5", "%"]
    assert lines[3].split() == ["dense", "3", "1", "96", "45", "10", "20", "56.2", "%"]
    assert lines[5].split() == ["all", "131", "3", "1696", "1045", "30", "62.2", "%"]
    assert set(lines[1]) == set(lines[4]) == {"-"}
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (9999, "9999"),
        (10_000, "10.0k"),
        (999_000, "999.0k"),
        (2_500_000, "2.50M"),
        (38_100_000_000, "38.10G"),
    ],
)
def test_cells_stay_short(report, value, text):
    report["layers"][0]["macs"] = value
    assert table(report).splitlines()[2].split()[3] == text


def test_everything_fits_80_columns(report):
    """Long names, large figures; only a word that is longer, such as a path, stands out."""
    for row in report["layers"]:
        row |= {"name": "module.backbone.stage4.block2.downsample.0", "cores": 1234}
        row |= dict.fromkeys(("neurons", "macs", "sops", "spikes", "cycles"), 999.99e9)
    report["cycles_per_image"] |= {"latency": 123_456_789.0, "interval": 123_456_789.0}
    report["energy_memory"] |= {"pj_per_image": 123e12}
    report["data"] = "many words " * 40
    lines = [*table(report).splitlines(), *summary(report).splitlines()]
    assert max(map(len, lines)) <= LINE_WIDTH
    assert table(report).splitlines()[2].startswith("…" + report["layers"][0]["name"][-19:])
    path = "/a" * 60
    assert entry("page", f"see {path}") == f"page         see\n{'':13}{path}"


def test_summary_states_every_verdict(report):
    lines = unfolded(summary(report))
    assert lines["accuracy"] == "float 98.75 %, quantized 98.00 % (360 test images)"
    assert lines["latency"] == (
        "1,000 cycles from the first flit in to the last one out (estimated 1,010)"
    )
    assert lines["interval"] == (
        "800 cycles from image to image (estimated 812): 125,000 images/s at 100 MHz"
    )
    assert lines["chip"] == "3 cores of 4 lanes on 2 x 2 nodes; 251 parameters"
    assert lines["simulation"] == "2,500 cycles in 0.5 s (5k cycles/s), built in 1.2 s"
    assert lines["spike trains"] == (
        "torch = golden: equal, golden = program: DIFFERENT, golden = RTL: not run"
    )
    report["accuracy"]["rtl"] = 0.975
    assert unfolded(summary(report))["accuracy"].endswith("test images), RTL 97.50 % (2 images)")


def test_energies_stand_beside_what_they_compare_with(report):
    memory, lines = report["energy_memory"], unfolded(summary(report))["energy"]
    memory["pj_per_image"], memory["parts"] = 1000.0, {"adds": 200.0, "weights": 800.0}
    memory["ann"] |= {"pj_per_image": 900.0, "pj_per_image_in_registers": 300.0}
    report |= {"energy_pj_per_image": 12.0, "ann_energy_pj_per_image": 34.0}
    lines = unfolded(summary(report))["energy"]
    first, _, second = lines.partition(" operations alone: ")
    assert first == (
        "1.00 nJ per image with memories and links (weight memory 80 %, additions 20 %); the ANN "
        "on the same memories: 900.00 pJ, 300.00 pJ with partial sums in registers"
    )
    assert second.startswith("12.00 pJ of additions, the ANN's multiply-accumulates 34.00 pJ;")


def test_less_than_an_image_a_second_is_not_none(report):
    report["cycles_per_image"]["interval"] = 732_423_270.0
    told = unfolded(summary(report))["interval"]
    assert told.endswith(": 0.14 images/s at 100 MHz")


def test_one_image_shows_the_estimate(report):
    report["cycles_per_image"] |= {"interval": None}
    assert unfolded(summary(report))["interval"] == (
        "812 cycles from image to image, estimated: 123,092 images/s at 100 MHz"
    )


def test_cells_without_a_figure_are_dashes(report):
    """As of engine `golden`: neither cores nor a clock."""
    for row in report["layers"]:
        row |= dict.fromkeys(("cores", "cycles", "utilisation"))
    for key in ("cores", "lane_utilisation"):
        del report[key]
    lines = table(report).splitlines()
    assert lines[2].split() == ["conv", "128", "-", "1600", "1000", "20", "-", "-"]
    assert lines[5].split() == ["all", "131", "-", "1696", "1045", "30", "-"]


def test_an_engine_without_a_chip_says_what_it_knows(report):
    keys = ("bit_exact", "accuracy", "data")
    names = list(unfolded(summary({key: report[key] for key in keys})))
    assert names == ["accuracy", "data", "spike trains"]


def test_cores_in_turn_are_told_with_load_compute_and_transfer(report):
    assert "in turn" not in unfolded(summary(report))
    run = VirtualRun(2, (2, 1), 2, 3, (GROUP, replace(GROUP, cycles=300.0)))
    report["virtual_cores"] = virtual_figures(run, 6)
    assert unfolded(summary(report))["in turn"] == (
        "2 cores at a time on 2 x 1 nodes, 2 groups, each loaded once for a batch of 2 images; per "
        "image: load 100 cycles, compute 550 cycles, transfer 40 flits in and 20 out"
    )
    run = replace(run, groups=(replace(GROUP, cycles=None),))
    assert "compute" not in virtual_text(virtual_figures(run, 6))


def test_long_names_keep_their_end():
    assert shortened("layers.3", LAYER_WIDTH) == "layers.3"
    assert shortened("features.12.conv", 8) == "…12.conv"
