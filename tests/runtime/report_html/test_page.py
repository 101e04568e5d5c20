# SPDX-License-Identifier: Apache-2.0
"""report.html: what it says of made-up runs."""

import dataclasses
import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from stemcore.golden.arithmetic.stem import encode
from stemcore.runtime import simulate as sim
from stemcore.runtime.report_html import write_page
from stemcore.runtime.report_html.bars import layer_figures
from stemcore.runtime.report_html.floorplan import busy_cycles
from stemcore.runtime.report_html.page import page
from stemcore.runtime.report_html.raster import SAMPLE, sample
from stemcore.runtime.report_html.text import compact
from stemcore.runtime.settings import Settings
from tests.support.report_runs import (
    N_IMAGES,
    NASTY,
    SECTIONS,
    on_rtl,
    searched,
    with_boxes,
    without_chip,
)

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
    outputs = np.zeros((N_IMAGES, 3, 1, 1), np.int64)
    outputs[:, 2] = 5
    ran = dataclasses.replace(hand.ran, outputs=outputs)
    labels = np.zeros(N_IMAGES, np.int64)
    dataset = dataclasses.replace(
        hand.dataset, class_names=("zero", "one"), test_labels=labels, train_labels=labels
    )
    text = page(dataclasses.replace(hand, ran=ran, dataset=dataset), tmp_path)
    assert text.count("<b>output 2</b>") == N_IMAGES
    assert f"0 of {N_IMAGES} images right" in text


def test_pictures_hold_the_pixels_of_the_images(hand, tmp_path):
    found = re.findall(r"base64,([^\"]+)", page(hand, tmp_path))
    assert len(found) == N_IMAGES
    for image, text in zip(hand.dataset.test_images, found, strict=True):
        pixels = np.asarray(Image.open(BytesIO(b64decode(text))))
        np.testing.assert_array_equal(pixels, np.repeat(image[0, :, :, None], 3, axis=2))


@pytest.mark.medium
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


@pytest.mark.medium
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
