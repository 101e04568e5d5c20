# SPDX-License-Identifier: Apache-2.0
"""Made-up runs that fill report.html in different ways."""

import dataclasses
import json

import numpy as np

from stemcore.golden.network.forward import run_network
from stemcore.models.data import BoxDataset, Dataset
from stemcore.models.data.boxes import pack_objects
from stemcore.runtime.engines.result import Timing
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.report import figures as reports
from stemcore.runtime.report.detections import write_pictures
from stemcore.runtime.report_html import Run
from stemcore.runtime.sparsify.pareto import Point
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


def hand_run(rng):
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
