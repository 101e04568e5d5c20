# SPDX-License-Identifier: Apache-2.0
"""A whole report, made up: every field of a run on gateware, all that its kind of engine has."""

from typing import Any

from stemcore.golden.spec.params import ChipParams
from stemcore.runtime.report.schema import SCHEMA_VERSION, checked

LAYERS = ("conv", "dense")
PARTS = ("adds", "weights")


def layer(name: str, sops: float, *, cores: int | None = 2) -> dict[str, Any]:
    """One row; without cores as golden reports it."""
    row: dict[str, Any] = {
        "name": name,
        "shape": [8, 4, 4],
        "neurons": 128,
        "parameters": 152,
        "macs": 1600,
        "sops": sops,
        "spikes": sops / 50,
        "cores": cores,
    }
    figures = {
        "packets": 30.0,
        "cycles": sops / 4,
        "update_cycles": 2000.0,
        "fire_cycles": 50.0,
        "utilisation": 0.5,
    }
    return row | (figures if cores else dict.fromkeys(figures))


def settings(**changes: Any) -> dict[str, Any]:
    """Those of digits_cnn as by default."""
    return {
        "model": "digits_cnn",
        "dataset": "digits",
        "data": None,
        "checkpoint": None,
        "preset": "sim32",
        "chip": ChipParams().to_dict(),
        "integration": "exact",
        "profile": "exact",
        "bias": "int32",
        "bits": 8,
        "tables": "none",
        "tables_by_layer": None,
        "cores": None,
        "mesh": None,
        "images": 2,
        "accuracy_images": 360,
        "calibration_images": 512,
        "engine": "verilator",
        "threads": 2,
        "waves": None,
        "seeds": {"data": 2024},
        **changes,
    }


def golden_report(**changes: Any) -> dict[str, Any]:
    """Of a run in golden: no cores, no cycles."""
    rows = [layer(name, sops, cores=None) for name, sops in zip(LAYERS, (1000, 45), strict=True)]
    stages = ("compile", "program", "estimate", "build", "simulate")
    times = ("load", "capture", "quantize", "lower", "torch", "golden", "accuracy", "total")
    return {
        "schema_version": SCHEMA_VERSION,
        "command": ["stemcore", "sim", "--model", "digits_cnn"],
        "started": "2026-01-31T12:00:00+00:00",
        "model": "digits_cnn",
        "dataset": "digits",
        "data": "made up",
        "weights": "trained",
        "images": 2,
        "tables": "none",
        "profile": "exact",
        "bias": dict.fromkeys(LAYERS, "32 bits"),
        "settings": settings(engine="golden", threads=None),
        "versions": {"python": "3.11.7", "stemcore": "0.1.0", "torch": None},
        "commit": {"hash": "0123456789" * 4, "is_dirty": False},
        "hashes": {
            **dict.fromkeys(("weights", "data", "calibration", "quantized"), "a" * 64),
            "program": None,
        },
        "times": {**dict.fromkeys(times, 1.5), **dict.fromkeys(stages)},
        "machine": {"processors": 2, "platform": "made up"},
        "bit_exact": {"torch_golden": True, "golden_program": None, "golden_rtl": None},
        "differences": [],
        "integration": {"mode": "exact"},
        "metric": "accuracy",
        "accuracy": {"float": 0.9875, "quantized": 0.98, "rtl": None, "images": 360},
        "neurons": 256,
        "parameters": 304,
        "macs_per_image": 3200,
        "sops_per_image": 1045.0,
        "spikes_per_image": 20.9,
        "energy_pj_per_image": 31.35,
        "energy_model": "a model",
        "ann_energy_pj_per_image": 736.0,
        "layers": rows,
        **changes,
    }


def rtl_report(**changes: Any) -> dict[str, Any]:
    """Of a run on the gateware."""
    golden = golden_report()
    parts = dict.fromkeys(PARTS, 100.0)
    by_layer = {name: dict.fromkeys(PARTS, 50.0) for name in LAYERS}
    report = {
        **golden,
        "settings": settings(),
        "hashes": {**golden["hashes"], "program": "b" * 64},
        "times": {name: seconds or 2.5 for name, seconds in golden["times"].items()},
        "bit_exact": dict.fromkeys(golden["bit_exact"], True),
        "accuracy": {**golden["accuracy"], "rtl": 1.0},
        "layers": [layer(name, sops) for name, sops in zip(LAYERS, (1000, 45), strict=True)],
        "cores": 4,
        "mesh": [2, 2],
        "lanes": 32,
        "overflow_proved": True,
        "energy_memory": {
            "pj_per_image": 200.0,
            "parts": parts,
            "layers": by_layer,
            "hops": 14.0,
            "model": "a model",
            "ann": {
                "pj_per_image": 200.0,
                "pj_per_image_in_registers": 100.0,
                "parts": parts,
                "layers": by_layer,
                "model": "a model",
            },
        },
        "estimate": {
            "interval": 800.0,
            "latency": 990.0,
            "images": 2,
            "busiest_core": {"node": [0, 1], "layer": "conv", "cycles": 250.0},
            "busiest_link": {"from": [0, 1], "to": [1, 1], "spikes": 30.0},
        },
        "cycles_per_image": {
            "latency": 1000.0,
            "interval": 812.0,
            "busiest_core": 260.0,
            "estimated_interval": 800.0,
            "estimated_latency": 990.0,
        },
        "simulation": {
            "engine": "verilator",
            "build_s": 2.5,
            "wall_s": 0.5,
            "cycles": 2500,
            "cycles_per_s": 5000.0,
            "node_cycles": 7000,
        },
        "lane_utilisation": 0.5,
        "steady_lane_utilisation": 0.4,
        "overflow": False,
    }
    return checked({**report, **changes})
