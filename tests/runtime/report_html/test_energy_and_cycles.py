# SPDX-License-Identifier: Apache-2.0
"""report.html: where the energy goes, and the cycles of each core."""

import dataclasses
import re

import pytest

from stemcore.runtime.report.energy import energy_text
from stemcore.runtime.report_html.page import page
from stemcore.runtime.report_html.text import compact
from tests.support.report_runs import N_IMAGES, on_rtl


def bars(text, section):
    """Rows of stacked bars: name, widths in percent by class, figure."""
    part = re.search(rf'<section id="{section}">.*?</section>', text, re.DOTALL)[0]
    rows = []
    for name, stacks, figure in re.findall(
        r'<div class="row[^"]*"><span class="name">(.*?)</span>(.*?)'
        r'<span class="figure">(.*?)</span></div>\n',
        part,
        re.DOTALL,
    ):
        widths = re.findall(r'<i class="([\w-]+)" style="width:([\d.]+)%"', stacks)
        rows.append((name, {key: float(width) for key, width in widths}, figure))
    return rows


def test_energy_bars_are_in_proportion(hand, tmp_path):
    run = on_rtl(hand)
    memory = run.report["energy_memory"]
    ann = memory["ann"]
    rows = bars(page(run, tmp_path), "energy")
    assert [name for name, _, _ in rows] == [
        "spikes",
        "ANN",
        "ANN, partial sums in registers",
        "conv",
        "ANN",
        "dense",
        "ANN",
    ]
    whole, layers = rows[:3], rows[3:]
    full = max(memory["pj_per_image"], ann["pj_per_image"])
    for (_, widths, figure), parts, total in (
        (whole[0], memory["parts"], memory["pj_per_image"]),
        (whole[1], ann["parts"], ann["pj_per_image"]),
        (
            whole[2],
            {key: pj for key, pj in ann["parts"].items() if key != "potentials"},
            ann["pj_per_image_in_registers"],
        ),
    ):
        expected = {f"part-{key}": 100 * pj / full for key, pj in parts.items() if pj}
        assert widths == pytest.approx(expected, abs=1e-3)
        assert figure == energy_text(total)
    longest = max(sum(widths.values()) for _, widths, _ in layers)
    assert longest == pytest.approx(100, abs=0.01)
    for (_, widths, figure), parts in zip(
        layers,
        (
            memory["layers"]["conv"],
            ann["layers"]["conv"],
            memory["layers"]["dense"],
            ann["layers"]["dense"],
        ),
        strict=True,
    ):
        assert figure == energy_text(sum(parts.values()))
        ratio = sum(widths.values()) / sum(parts.values())
        assert widths == pytest.approx(
            {f"part-{k}": ratio * pj for k, pj in parts.items() if pj}, abs=2e-3
        )


def test_energy_needs_no_clock(hand, tmp_path):
    """Engine `program` counts all that the models ask for, and the page says so."""
    assert hand.energy["energy_memory"] == on_rtl(hand).report["energy_memory"]
    tile = energy_text(hand.energy["energy_memory"]["pj_per_image"])
    text = page(hand, tmp_path)
    assert f"<span>energy per image</span><strong>{tile}</strong>" in text
    assert len(bars(text, "energy")) == 7
    assert bars(text, "cycles") == []
    assert "The split of cycles needs the gateware" in text


def test_headline_sets_like_against_like(hand, tmp_path):
    """Both totals with memories; operations alone stand apart, and are said to."""
    text = page(hand, tmp_path)
    memory = hand.energy["energy_memory"]
    ours, theirs = (energy_text(m["pj_per_image"]) for m in (memory, memory["ann"]))
    assert f"{ours} with spikes, {theirs} as an ANN on the same cores and memories" in text
    tile = re.search(r"<span>energy per image</span>.*?</div>", text)[0]
    assert f"the ANN on the same memories {theirs}" in tile
    assert "memories left out" not in tile
    assert "Neither can be compared with the figures above." in text


def test_cycles_of_every_core_add_up(hand, tmp_path):
    run = on_rtl(hand)
    counters = run.rtl.counters
    text = page(run, tmp_path)
    rows = bars(text, "cycles")
    assert [name for name, _, _ in rows] == [
        f"{core.layer} <small>({core.x}, {core.y})</small>" for core in run.program.cores
    ]
    interval = 425.0
    spent = {
        node: [c[key] / N_IMAGES for key in ("busy", "stalled", "update_cycles", "fire_cycles")]
        for node, c in counters.items()
    }
    full = max(interval, *(sum(cycles[:3]) for cycles in spent.values()))
    for core, (_, widths, figure) in zip(run.program.cores, rows, strict=True):
        cycles = spent[core.x, core.y]
        names = ("phase-busy", "phase-stalled", "phase-update_cycles", "phase-fire_cycles")
        expected = {name: 100 * n / full for name, n in zip(names, cycles, strict=True)}
        assert widths == pytest.approx(expected, abs=1e-3)
        total = sum(cycles[:3])
        assert figure == f"{compact(total)}, {100 * total / interval:.0f} %"
    marks = re.findall(r'<b style="left:([\d.]+)%"></b>', text)
    assert marks == [f"{100 * interval / full:.2f}"] * 3


def test_many_cores_are_shown_by_their_busiest(hand, tmp_path, monkeypatch):
    monkeypatch.setattr("stemcore.runtime.report_html.cycle_bars.SHOWN", 2)
    run = on_rtl(hand)
    counters = dict(run.rtl.counters)
    counters[1, 1] = {**counters[1, 1], "stalled": 300}
    text = page(
        dataclasses.replace(run, rtl=dataclasses.replace(run.rtl, counters=counters)), tmp_path
    )
    names = [name for name, _, _ in bars(text, "cycles")]
    assert names == ["conv <small>(1, 1)</small>", "dense <small>(0, 2)</small>"]
    assert "the busiest core of each layer (3 cores in all)" in text


def test_a_layer_has_one_shape(hand, tmp_path):
    text = page(hand, tmp_path)
    shapes = {"conv": "8 × 4 × 4, pooled to 2 × 2", "dense": "3 × 1 × 1"}
    for name, shape in shapes.items():
        written = shape.replace(" × ", "\u00a0×\u00a0")
        assert f'<th scope="row">{name}</th><td>{written}</td>' in text
        assert f"<b>{name}</b> {written} ·" in text
