# SPDX-License-Identifier: Apache-2.0
"""report.html: what it says of made-up runs, and how a browser shows it."""

import dataclasses
import json
import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from stemcore.golden.arithmetic.stem import encode
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT
from stemcore.models.data import BoxDataset, Dataset
from stemcore.models.data.boxes import pack_objects
from stemcore.runtime import simulate as sim
from stemcore.runtime.engines.result import Timing
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.prepare import Settings
from stemcore.runtime.report import figures as reports
from stemcore.runtime.report.detections import write_pictures
from stemcore.runtime.report_html import Run, write_page
from stemcore.runtime.report_html.bars import layer_figures
from stemcore.runtime.report_html.floorplan import busy_cycles
from stemcore.runtime.report_html.page import page
from stemcore.runtime.report_html.raster import SAMPLE, sample
from stemcore.runtime.report_html.text import compact, shortened
from stemcore.runtime.sparsify.pareto import Point
from tests.support.browser import HOW, Browser, find_browser
from tests.support.hand_programs import conv_chain_program

N_IMAGES = 3
SECTIONS = ("summary", "layers", "floorplan", "raster", "predictions", "pareto")
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
        Point(scheme, {"conv": table}, accuracy, 0.01, 0.002, 0.1, sops, 70.0, 400.0, chosen)
        for scheme, table, accuracy, sops, chosen in (
            ("hybrid", "rot1", 0.948, 800.0, False),
            ("hybrid", "rot2", 0.94, 600.0, True),
            ("rot", "rot1", 0.947, 850.0, True),
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
    assert (dense.macs, dense.shape) == (96, (3, 1, 1))


def test_layers_of_an_rtl_run_are_those_of_the_report(hand):
    run = on_rtl(hand)
    for row, figures in zip(run.report["layers"], layer_figures(run), strict=True):
        assert dataclasses.asdict(figures) == {
            **{key: row[key] for key in dataclasses.asdict(figures)},
            "shape": tuple(row["shape"]),
        }


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
    assert "<strong>425</strong><small>measured; estimated 420</small>" in text
    assert "<strong>891</strong><small>measured; estimated 880</small>" in text
    assert "as engine &#x27;program&#x27; counts them" in text


def test_clock_that_misses_the_start_of_images_leaves_estimates(hand, tmp_path):
    run = on_rtl(hand)
    timing = dataclasses.replace(run.rtl.timing, start=np.zeros(0, np.int64))
    rtl = dataclasses.replace(run.rtl, timing=timing)
    text = page(dataclasses.replace(run, rtl=rtl), tmp_path)
    assert "<strong>880</strong><small>estimated from the spikes</small>" in text


def test_cycles_without_a_clock_are_estimates(hand, tmp_path):
    estimate = {"interval": None, "latency": 880.4}
    text = page(dataclasses.replace(hand, report={**hand.report, "estimate": estimate}), tmp_path)
    assert "<strong>880</strong><small>estimated from the spikes</small>" in text
    assert "cycles between images" not in text


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


def test_long_names_keep_their_end():
    assert shortened("layers.3", 8) == "layers.3"
    assert shortened("features.12.conv", 8) == "…12.conv"


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


@pytest.mark.slow
def test_page_prints_on_few_sheets(hand, tmp_path, browser):
    browser.open(write_page(tmp_path, variant("rtl", hand, tmp_path)))
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 4


@pytest.mark.slow
def test_browser_notices_what_the_page_must_not_do(tmp_path, browser):
    path = tmp_path / "bad.html"
    path.write_text("<p style='width:3000px'>x<img src='gone.png'><script>nothing()</script>")
    browser.open(path)
    assert any("nothing is not defined" in text for text in browser.messages)
    assert browser.requests == [path.as_uri(), (tmp_path / "gone.png").as_uri()]
    assert overflow(browser) > 0
