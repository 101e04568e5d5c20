# SPDX-License-Identifier: Apache-2.0
"""report.html: what it says of made-up runs, and how a browser shows it."""

import dataclasses
import json
import re
import zlib
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stemcore.golden.arithmetic.stem import encode
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT
from stemcore.models.data import BoxDataset, Dataset
from stemcore.models.data.boxes import pack_objects
from stemcore.runtime import report_html
from stemcore.runtime import simulate as sim
from stemcore.runtime.engines.result import Timing
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.prepare import Settings
from stemcore.runtime.report import figures as reports
from stemcore.runtime.report.detections import write_pictures
from stemcore.runtime.report.energy import PARTS, energy_text
from stemcore.runtime.report_html import Run, write_page
from stemcore.runtime.report_html.bars import layer_figures
from stemcore.runtime.report_html.colours import BUSY, contrast, ink_for, luminance, mixed
from stemcore.runtime.report_html.floorplan import busy_cycles
from stemcore.runtime.report_html.page import page
from stemcore.runtime.report_html.raster import SAMPLE, sample
from stemcore.runtime.report_html.text import compact
from stemcore.runtime.sparsify.pareto import Point
from tests.support.browser import HOW, Browser, find_browser
from tests.support.hand_programs import conv_chain_program

N_IMAGES = 3
SECTIONS = (
    "summary",
    "layers",
    "energy",
    "cycles",
    "floorplan",
    "raster",
    "predictions",
    "pareto",
)
NASTY = "</script><img src=x onerror=alert(1)>&\"'"
USER_MODEL = """
import torch


def net():
    torch.manual_seed(3)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, stride=2, padding=1), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(4 * 4 * 4, 10),
    )
    module.input_shape = (1, 8, 8)
    module.input_range = "signed"
    return module
"""


def base_report(figures):
    return {
        "model": "hand",
        "dataset": "made",
        "data": "made up",
        "weights": "random",
        "images": 3,
        "tables": "none",
        "profile": "exact",
        "bias": {"conv": "32 bits", "dense": "32 bits"},
        "bit_exact": {"torch_golden": True, "golden_program": True, "golden_rtl": None},
        "differences": [],
        "integration": {"mode": "exact"},
        "metric": "accuracy",
        "accuracy": {"float": 0.9875, "quantized": 0.975, "rtl": None, "images": 360},
        **figures,
    }


@pytest.fixture
def hand(rng):
    """The hand-made program (two cores of a convolution, one of a dense layer), run."""
    program, network = conv_chain_program()
    pixels = rng.integers(0, 256, (N_IMAGES, 1, 4, 4)).astype(np.uint8)
    labels = np.arange(N_IMAGES)
    names = ("zero", "one", "two")
    dataset = Dataset("made", pixels, labels, pixels, labels, names, "made up")
    images = rng.integers(0, 256, (N_IMAGES, 2, 4, 4))
    golden = run_network(network, images)
    result = run_engine("program", program, images)
    report = base_report(reports.size_figures(program))
    return Run(report, dataset, network, images, golden, program, result)


def without_chip(run):
    figures = reports.network_figures(run.program.layers)
    return dataclasses.replace(run, report=base_report(figures), program=None, ran=None)


def on_rtl(run):
    """As if the gateware had run: a clock, and counters that only it has."""
    own = dict.fromkeys(("stalled", "update_cycles", "fire_cycles"), 30)
    counters = {
        node: {**c, **own, "samples": N_IMAGES, "overflow": 0}
        for node, c in run.result.counters.items()
    }
    timing = Timing(np.array([9, 400, 800]), np.array([900, 1300, 1750]), {}, 2000)
    rtl = dataclasses.replace(run.ran, engine="verilator", counters=counters, timing=timing)
    report = {**run.report, **reports.rtl_figures(run.program, rtl, N_IMAGES)}
    report["estimate"] = {"interval": 420.0, "latency": 880.0}
    report["bit_exact"] = {**report["bit_exact"], "golden_rtl": True}
    return dataclasses.replace(run, report=report, rtl=rtl)


def searched(folder):
    """A search of two schemes, as `make sparsify` leaves it."""
    test = {"accuracy": 0.97, "sops": 900.0, "spikes": 90.0}
    none = Point("none", {}, 0.95, 0.0, 0.0, 0.0, 1000.0, 100.0, 500.0)
    points = [
        Point(scheme, {"conv": table}, accuracy, lost, 0.0012, 0.1, sops, 70.0, 400.0, *ends)
        for scheme, table, accuracy, lost, sops, *ends in (
            ("hybrid", "rot1", 0.948, 0.002, 800.0),
            ("hybrid", "rot2", 0.94, 0.0061, 600.0, True, 0.0034),
            ("rot", "rot1", 0.947, 0.003, 850.0, True, 0.0021),
        )
    ]
    found = {
        "budget_points": 0.5,
        "none": {**dataclasses.asdict(none), "test": test},
        "chosen": {
            p.scheme: {**dataclasses.asdict(p), "test": {**test, "sops": p.sops}}
            for p in points
            if p.chosen
        },
        "points": [dataclasses.asdict(p) for p in points],
    }
    (folder / "sparsify").mkdir()
    (folder / "sparsify" / "pareto.json").write_text(json.dumps(found))


def with_boxes(run, folder):
    """The same run as if its outputs were boxes on coloured images."""
    pixels = np.zeros((N_IMAGES, 3, 64, 64), np.uint8)
    objects = pack_objects([[((8, 8, 40, 40), 1, False)]] * N_IMAGES)
    dataset = BoxDataset("boxes", pixels, objects, pixels, objects, ("cat", NASTY), "made up")
    outputs = np.zeros((N_IMAGES, 12, 2, 2))
    outputs[:, 2:4] = 0.6  # square roots of the sides
    outputs[:, [4, 11], 1, 0] = 0.9  # one box, of the second class
    rows = write_pictures(dataset, outputs, folder / "detections")
    report = {**run.report, "metric": "mAP@0.5", "detections": rows}
    return dataclasses.replace(run, dataset=dataset, report=report)


# ---- what the page says


def test_layers_of_a_program_run_follow_from_its_counters(hand):
    conv, dense = layer_figures(hand)
    counters = hand.result.counters
    two = [counters[0, 1], counters[1, 1]]
    assert conv.cores == 2
    assert conv.sops == sum(c["sops"] for c in two) / N_IMAGES
    assert conv.cycles == max(c["busy"] for c in two) / N_IMAGES
    assert conv.spikes == sum(c["fired"] for c in two) / N_IMAGES
    busy = sum(c["busy"] for c in two)
    assert conv.utilisation == sum(c["sops"] for c in two) / (4 * busy)
    assert dense.sops == counters[0, 2]["sops"] / N_IMAGES
    assert dense.macs == 96


def test_layers_of_an_rtl_run_are_those_of_the_report(hand):
    run = on_rtl(hand)
    for row, figures in zip(run.report["layers"], layer_figures(run), strict=True):
        assert dataclasses.asdict(figures) == {key: row[key] for key in dataclasses.asdict(figures)}


def test_layers_without_a_chip_have_macs_and_spikes_alone(hand):
    for with_chip, without in zip(
        layer_figures(hand), layer_figures(without_chip(hand)), strict=True
    ):
        assert (without.macs, without.spikes) == (with_chip.macs, with_chip.spikes)
        assert without.cores is without.sops is without.cycles is without.utilisation is None


def test_busy_cycles_without_counters_follow_from_the_spikes(hand):
    uncounted = dataclasses.replace(hand, ran=dataclasses.replace(hand.ran, counters=None))
    assert busy_cycles(uncounted) == pytest.approx(busy_cycles(hand))


def test_gateware_without_counters_has_those_of_the_program(hand, tmp_path):
    run = on_rtl(hand)
    uncounted = dataclasses.replace(run.rtl, engine="amaranth", counters=None)
    report = {**hand.report, "estimate": run.report["estimate"]}
    run = dataclasses.replace(run, report=report, rtl=uncounted)
    assert run.counters == hand.counters
    assert layer_figures(run) == layer_figures(hand)
    text = page(run, tmp_path)
    assert (
        "<strong>425</strong><small>measured; estimated 420; 235.3k images/s at 100 MHz</small>"
        in text
    )
    assert "<strong>891</strong><small>measured; estimated 880</small>" in text
    assert "as engine &#x27;program&#x27; counts them" in text


def test_clock_that_misses_the_start_of_images_leaves_estimates(hand, tmp_path):
    run = on_rtl(hand)
    timing = dataclasses.replace(run.rtl.timing, start=np.zeros(0, np.int64))
    rtl = dataclasses.replace(run.rtl, timing=timing)
    text = page(dataclasses.replace(run, rtl=rtl), tmp_path)
    assert "<strong>880</strong><small>estimated from the spikes</small>" in text


def test_cycles_without_a_clock_are_estimates(hand, tmp_path):
    estimate = {"interval": 500.0, "latency": 880.4}
    text = page(dataclasses.replace(hand, report={**hand.report, "estimate": estimate}), tmp_path)
    assert "<strong>880</strong><small>estimated from the spikes</small>" in text
    assert (
        "<strong>500</strong><small>estimated from the spikes; 200.0k images/s at 100 MHz</small>"
    ) in text


def test_one_image_shows_the_estimated_interval(hand, tmp_path):
    run = on_rtl(hand)
    timing = dataclasses.replace(run.rtl.timing, start=np.array([9]), end=np.array([900]))
    text = page(dataclasses.replace(run, rtl=dataclasses.replace(run.rtl, timing=timing)), tmp_path)
    assert "<strong>420</strong><small>estimated from the spikes; 238.1k images/s" in text
    assert "<strong>891</strong><small>measured; estimated 880</small>" in text
    assert "The line marks the interval between images, 420 cycles (estimated)" in text


def test_links_carry_what_the_counters_send(hand):
    links = hand.loads.links
    conv_0 = hand.result.counters[0, 1]["fired"] / N_IMAGES
    conv_1 = hand.result.counters[1, 1]["fired"] / N_IMAGES
    dense = hand.result.counters[0, 2]["fired"] / N_IMAGES
    pixels = hand.spikes(hand.network.input).sum() / N_IMAGES
    assert links == pytest.approx(
        {
            ((0, 0), (0, 1)): pixels,
            ((0, 1), (1, 1)): pixels,
            ((1, 1), (0, 1)): conv_1,
            ((0, 1), (0, 2)): conv_0 + conv_1,
            ((0, 2), (0, 1)): dense,
            ((0, 1), (0, 0)): dense,
        }
    )


def test_floorplan_names_every_core_and_every_loaded_link(hand, tmp_path):
    text = page(hand, tmp_path)
    for core in hand.program.cores:
        busy = hand.result.counters[core.x, core.y]["busy"] / N_IMAGES
        assert f"<title>({core.x}, {core.y}) {core.layer}: {busy:,.0f} cycles</title>" in text
    assert text.count("<polygon") == len(hand.loads.links) == 6
    load = hand.loads.links[(1, 1), (0, 1)]
    assert f"<title>(1, 1) to (0, 1): {load:,.0f} spikes</title>" in text


def test_raster_has_a_mark_for_every_spike_of_the_drawn_neurons(hand, tmp_path):
    rasters = re.findall(
        r'id="raster-(\d)"( hidden)?>.*?class="spikes" d="([^"]*)"', page(hand, tmp_path), re.DOTALL
    )
    assert [(number, bool(hidden)) for number, hidden, _ in rasters] == [
        ("0", True),
        ("1", False),
        ("2", True),
    ]
    for population, (_, _, marks) in zip(hand.populations, rasters, strict=True):
        value = hand.values(population.name)[0]
        trains = encode(value, population.bits, population.is_signed).reshape(population.bits, -1)
        pitch = 24
        drawn = np.zeros_like(trains)
        for x, y in re.findall(r"M([\d.]+) (\d+)v", marks):
            drawn[(int(y) - 24) // 22, int((float(x) - 128) // pitch)] = 1
        np.testing.assert_array_equal(drawn, trains)


def test_sample_is_spread_over_all_neurons_and_bounded():
    np.testing.assert_array_equal(sample(5), np.arange(5))
    many = sample(100_000)
    assert len(many) == len(np.unique(many)) == SAMPLE
    assert (many[0], many[-1]) == (0, 99_999)


def test_predictions_say_which_are_right(hand, tmp_path):
    outputs = np.zeros((N_IMAGES, 3, 1, 1), np.int64)
    outputs[0, 0] = outputs[1, 1] = outputs[2, 0] = 5
    ran = dataclasses.replace(hand.ran, outputs=outputs)
    text = page(dataclasses.replace(hand, ran=ran), tmp_path)
    assert "2 of 3 images right, 66.67 %." in text
    assert "<b>zero</b> <span>✓ right</span>" in text
    assert "<b>zero</b> <span>✗ is two</span>" in text


def test_outputs_beyond_the_classes_are_numbers(hand, tmp_path):
    outputs = np.zeros((N_IMAGES, 2, 3, 3), np.int64)
    outputs[:, 1, 2, 1] = 5
    ran = dataclasses.replace(hand.ran, outputs=outputs)
    text = page(dataclasses.replace(hand, ran=ran), tmp_path)
    assert text.count("<b>output 16</b>") == N_IMAGES
    assert f"0 of {N_IMAGES} images right" in text


def test_pictures_hold_the_pixels_of_the_images(hand, tmp_path):
    found = re.findall(r"base64,([^\"]+)", page(hand, tmp_path))
    assert len(found) == N_IMAGES
    for image, text in zip(hand.dataset.test_images, found, strict=True):
        pixels = np.asarray(Image.open(BytesIO(b64decode(text))))
        np.testing.assert_array_equal(pixels, np.repeat(image[0, :, :, None], 3, axis=2))


def test_detections_are_pictures_with_objects(hand, tmp_path):
    run = with_boxes(hand, tmp_path)
    text = page(run, tmp_path)
    assert text.count("</b> 0.81</figcaption>") == N_IMAGES
    assert text.count('<figure class="boxes">') == N_IMAGES
    assert "onerror=alert" in text
    assert "<img src=x" not in text


def test_pictures_stop_at_their_share_of_the_page(hand, tmp_path, monkeypatch):
    monkeypatch.setattr("stemcore.runtime.report_html.images.PICTURE_BYTES", 1)
    text = page(with_boxes(hand, tmp_path), tmp_path)
    assert text.count('<figure class="boxes">') == 1
    assert f"The first 1 of {N_IMAGES} images; all are in detections/." in text


def test_search_shows_points_and_choices(hand, tmp_path):
    searched(tmp_path)
    text = page(hand, tmp_path)
    assert text.count('stroke="black" stroke-width="2"') == 2 * 3
    assert '<th scope="row">hybrid</th><td>97.00 %</td><td>600</td><td>-33.3 %</td>' in text


def test_search_says_what_a_choice_was_judged_by(hand, tmp_path):
    """Hybrid's own figure, 0.61 points, is beyond the budget of 0.5; 0.34 + 0.12 is not."""
    searched(tmp_path)
    text = page(hand, tmp_path)
    assert "predicted loss of accuracy, with the standard error of its figure to spare" in text
    for row in (
        '<th scope="row">hybrid</th><td>0.34</td><td>0.12</td><td><b>0.46</b></td><td>0.61</td>',
        '<th scope="row">rot</th><td>0.21</td><td>0.12</td><td><b>0.33</b></td><td>0.30</td>',
    ):
        assert row in text
    assert '<th scope="col">judged by, at most 0.5</th>' in text


# ---- energy and cycles


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


# ---- colours


def variables(dark):
    """CSS variables of a theme; the dark one overrides."""
    text = (Path(report_html.__file__).parent / "style.css").read_text()
    light, _, rest = text.partition("@media screen and (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    if dark:
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", rest))
    return {name: tuple(bytes.fromhex(colour[1:])) for name, colour in found.items()}


TEXT_ON = {
    "paper": ("ink", "soft", "good", "bad"),
    "pale": ("ink", "soft"),
    "stripe": ("ink", "soft"),
    "good-paper": ("good",),
    "bad-paper": ("ink",),
    "bad": ("on-bad",),
}
MARKS = ("macs", "sops", "spikes", "cycles", "lanes", "edge", *(f"part-{key}" for key in PARTS))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_themes_have_contrast(dark):
    """WCAG 2.2: 4.5 for text, 3 for marks that carry meaning."""
    colours = variables(dark)
    assert (luminance(colours["paper"]) < 0.1) == dark
    for background, inks in TEXT_ON.items():
        for ink in inks:
            assert contrast(colours[ink], colours[background]) >= 4.5, (ink, background)
    for mark in MARKS:
        assert contrast(colours[mark], colours["paper"]) >= 3, mark
        if mark != "edge":
            assert contrast(colours[mark], colours["stripe"]) >= 3, mark


def test_both_themes_define_the_same_colours():
    style = (Path(report_html.__file__).parent / "style.css").read_text()
    used = set(re.findall(r"var\(--([\w-]+)\)", style)) - {"light", "dark", "series", "natural"}
    assert used <= set(variables(False))
    changed = {n for n, colour in variables(True).items() if colour != variables(False)[n]}
    assert changed == set(variables(False))


@pytest.mark.parametrize("ends", [BUSY.light, BUSY.dark])
def test_text_on_a_core_is_legible_at_any_share(ends):
    for share in np.linspace(0, 1, 201):
        background = mixed(ends, share)
        assert contrast(ink_for(background), background) >= 4.5


def test_contrast_is_that_of_the_standard():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("content", ["{", "[]", '{"points": [{}]}', '{"points": 3}'])
def test_search_that_cannot_be_read_is_said(hand, tmp_path, content):
    (tmp_path / "sparsify").mkdir()
    (tmp_path / "sparsify" / "pareto.json").write_text(content)
    text = page(hand, tmp_path)
    assert re.search(r"pareto.json: must be what &#x27;make sparsify&#x27; writes, got \w+", text)


def test_parts_without_data_are_said(hand, tmp_path):
    text = page(without_chip(hand), tmp_path)
    assert "Engine &#x27;golden&#x27; places nothing" in text
    assert "No search was run on this network" in text
    assert all(f'<section id="{name}">' in text for name in SECTIONS)


def test_differences_are_shown(hand, tmp_path):
    report = {
        **hand.report,
        "differences": ["conv: neuron 3 <b>"],
        "bit_exact": {**hand.report["bit_exact"], "golden_program": False},
    }
    text = page(dataclasses.replace(hand, report=report), tmp_path)
    assert "<li>conv: neuron 3 &lt;b&gt;</li>" in text
    assert '<span class="pill no"><b>golden = program</b> DIFFERENT</span>' in text


def test_names_cannot_break_out_of_the_page(hand, tmp_path):
    names = (NASTY, "one", "two")
    run = dataclasses.replace(
        hand,
        report={**hand.report, "model": NASTY, "data": NASTY},
        dataset=dataclasses.replace(hand.dataset, class_names=names),
    )
    text = page(run, tmp_path)
    assert "<img src=x" not in text
    assert text.count("</script>") == 1


def test_page_is_written_whole_or_not_at_all(hand, tmp_path):
    path = write_page(tmp_path, hand)
    before = path.read_text()
    with pytest.raises(KeyError):
        write_page(tmp_path, dataclasses.replace(hand, report={}))
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (950, "950"),
        (47.5, "47.5"),
        (123.4, "123"),
        (9999, "9,999"),
        (12_345, "12.3k"),
        (4_560_000, "4.56M"),
        (1.2e9, "1.20G"),
    ],
)
def test_compact_numbers(value, text):
    assert compact(value) == text


@pytest.mark.parametrize("engine", ["golden", "program"])
def test_sim_leaves_the_page_beside_the_report(tmp_path, monkeypatch, engine):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(USER_MODEL)
    settings = Settings(f"{tmp_path / 'mine.py'}:net")
    result = sim.simulate(settings, n_images=2, engine=engine, accuracy_images=20)
    assert result.differences == ()
    text = (result.folder / "report.html").read_text()
    assert f"2 images through engine '{engine}'" in text
    assert ("<polygon" in text) == (engine == "program")
    assert text.count("<img ") == 2


# ---- how a browser shows it


@pytest.fixture
def browser(tmp_path):
    path = find_browser()
    if path is None:
        pytest.skip(HOW)
    folder = tmp_path / "browser"
    folder.mkdir()
    with Browser(path, folder) as one:
        yield one


def visible(browser):
    """Size of every section, and which raster is shown."""
    sizes = browser.evaluate(
        "[...document.querySelectorAll('section')].map(s => {"
        "const r = s.getBoundingClientRect(); return [s.id, r.width, r.height]})"
    )
    shown = browser.evaluate(
        "[...document.querySelectorAll('figure.raster')].filter(f => f.offsetHeight > 0)"
        ".map(f => f.id)"
    )
    return sizes, shown


def overflow(browser):
    return browser.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def variant(name, hand, folder):
    """Runs that fill the page in different ways."""
    if name == "golden":
        return without_chip(hand)
    if name == "boxes":
        return with_boxes(on_rtl(hand), folder)
    if name == "large":
        program = dataclasses.replace(hand.program, columns=24, rows=24)
        return dataclasses.replace(
            hand,
            program=program,
            report={**hand.report, "model": "a_name_without_a_space" * 9, "mesh": [24, 24]},
        )
    searched(folder)
    return on_rtl(hand)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rtl", "golden", "boxes", "large"])
def test_page_reads_well_at_1280_pixels(hand, tmp_path, browser, name):
    path = write_page(tmp_path, variant(name, hand, tmp_path))
    browser.open(path, width=1280)
    assert browser.messages == []
    assert browser.requests == [path.resolve().as_uri()]
    assert overflow(browser) == 0
    sizes, shown = visible(browser)
    assert [section for section, _, _ in sizes] == list(SECTIONS)
    assert all(width > 800 and height > 50 for _, width, height in sizes)
    assert shown == ["raster-1"]
    clipped = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert browser.evaluate(clipped) == 0
    assert len(path.read_bytes()) < 2_000_000


@pytest.mark.slow
def test_chosen_layer_changes_the_raster(hand, tmp_path, browser):
    browser.open(write_page(tmp_path, hand))
    assert browser.evaluate("document.getElementById('raster-choice').offsetHeight") > 0
    for number in (2, 0, 1):
        before = browser.screenshot()
        browser.evaluate(
            f"(c => {{c.value = 'raster-{number}'; c.dispatchEvent(new Event('change'))}})"
            "(document.getElementById('raster-choice'))"
        )
        assert visible(browser)[1] == [f"raster-{number}"]
        assert browser.screenshot() != before
    assert browser.messages == []


@pytest.mark.slow
def test_page_without_script_shows_the_first_layer(hand, tmp_path, browser):
    browser.open(write_page(tmp_path, hand), script=False)
    sizes, shown = visible(browser)
    assert shown == ["raster-1"]
    assert hand.populations[0].name == INPUT
    assert len(sizes) == len(SECTIONS)
    # A choice that would do nothing is not offered.
    assert browser.evaluate("document.getElementById('raster-choice').offsetHeight") == 0


def printed(pdf):
    """How many letters and strokes each sheet shows."""
    objects = {
        int(number): body for number, body in re.findall(rb"(?s)\n(\d+) 0 obj\b(.*?)\bendobj", pdf)
    }
    found = []
    for body in objects.values():
        if not re.search(rb"/Type\s*/Page\b", body):
            continue
        content = objects[int(re.search(rb"/Contents (\d+) 0 R", body)[1])]
        stream = re.search(rb"(?s)stream\r?\n(.*)endstream", content)[1]
        drawn = zlib.decompressobj().decompress(stream)
        found.append(len(re.findall(rb"\bT[jJ]\b|\bre\b|\bf\b|\bS\b", drawn)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["rtl", "golden", "boxes", "large"])
def test_page_prints_without_empty_sheets(hand, tmp_path, browser, name, dark):
    browser.open(write_page(tmp_path, variant(name, hand, tmp_path)), dark=dark)
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    sheets = printed(pdf)
    assert 1 <= len(sheets) <= 6
    # The last may be short.
    assert all(n > 20 for n in sheets[:-1])
    assert sheets[-1] > 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rtl", "golden", "boxes", "large"])
def test_page_reads_well_at_400_pixels(hand, tmp_path, browser, name):
    browser.open(write_page(tmp_path, variant(name, hand, tmp_path)), width=400)
    assert browser.messages == []
    assert overflow(browser) == 0
    sizes, _ = visible(browser)
    assert all(width <= 400 for _, width, _ in sizes)
    # What is wider than the page moves within it, and nothing else is cut off.
    cut = browser.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.wide') && !e.closest("
        "'svg') && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML)"
    )
    assert cut == []
    # Text of 9 pixels or more, drawings included.
    small = browser.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.childElementCount === 0 && "
        "e.textContent.trim() && e.offsetParent !== null || e.tagName === 'text' && "
        "e.getBoundingClientRect().width).map(e => [e.textContent, parseFloat("
        "getComputedStyle(e).fontSize) * (e.getScreenCTM ? e.getScreenCTM().a : 1)])"
        ".filter(([text, size]) => size < 9)"
    )
    assert small == []


@pytest.mark.slow
def test_layers_stay_named_while_their_figures_are_moved(hand, tmp_path, browser):
    browser.open(write_page(tmp_path, on_rtl(hand)), width=400)
    at = "document.querySelector('.bars tbody {}').getBoundingClientRect().left"
    table = "document.querySelector('#layers .wide')"
    assert browser.evaluate(f"{table}.scrollWidth - {table}.clientWidth") > 100
    before = [browser.evaluate(at.format(cell)) for cell in ("th", "td:last-child")]
    browser.evaluate(f"{table}.scrollLeft = 10000")
    after = [browser.evaluate(at.format(cell)) for cell in ("th", "td:last-child")]
    assert after[0] == before[0]
    assert after[1] < 400 < before[1]


CONTRASTS = """
(() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll('main *, footer *, footer')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !e.getClientRects().length || e.tagName === 'OPTION') continue;
    const style = getComputedStyle(e);
    let back = behind(e);
    if (e.tagName === 'text') {
      const box = e.parentElement.querySelector('rect');
      const plot = e.closest('svg');
      if (plot.classList.contains('mesh')) back = rgb(getComputedStyle(box).fill);
    }
    const ink = rgb(e.tagName === 'text' ? style.fill : style.color);
    found.push([e.textContent.trim().slice(0, 40), ink.slice(0, 3), back.slice(0, 3)]);
  }
  return found;
})()
"""


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["rtl", "golden", "boxes"])
def test_all_text_of_the_page_has_contrast(hand, tmp_path, browser, name, dark):
    """As the browser computes it: 4.5 for whatever is shown."""
    run = variant(name, hand, tmp_path)
    differences = {
        "differences": ["conv: neuron 3"],
        "bit_exact": {"torch_golden": True, "golden_program": False, "golden_rtl": None},
    }
    run = dataclasses.replace(run, report={**run.report, **differences})
    browser.open(write_page(tmp_path, run), dark=dark)
    found = browser.evaluate(CONTRASTS)
    assert len(found) > 60
    assert (luminance(tuple(found[0][2])) < 0.1) == dark
    low = [row for row in found if contrast(tuple(row[1]), tuple(row[2])) < 4.5]
    assert low == []


@pytest.mark.slow
def test_browser_notices_what_the_page_must_not_do(tmp_path, browser):
    path = tmp_path / "bad.html"
    path.write_text("<p style='width:3000px'>x<img src='gone.png'><script>nothing()</script>")
    browser.open(path)
    assert any("nothing is not defined" in text for text in browser.messages)
    assert browser.requests == [path.as_uri(), (tmp_path / "gone.png").as_uri()]
    assert overflow(browser) > 0
