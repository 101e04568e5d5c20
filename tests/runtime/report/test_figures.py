# SPDX-License-Identifier: Apache-2.0
"""Figures and texts of the report, from a run that was made up."""

import json

import numpy as np
import pytest

from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT
from stemcore.runtime.engines.result import RunResult, Timing
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.report import figures as reports
from tests.support.hand_programs import conv_chain_program

NODES = ((0, 1), (1, 1), (0, 2))  # conv, conv, dense


def counters(sops, busy, stalled, *, overflow=0):
    return {
        "sops": sops,
        "busy": busy,
        "stalled": stalled,
        "spikes_in": 40,
        "spikes_out": 30,
        "fired": 20,
        "update_cycles": 10 * busy,
        "fire_cycles": 100,
        "samples": 2,
        "hops": 7,
        "overflow": overflow,
    }


@pytest.fixture
def run():
    """The program (4 lanes) and a run of two images."""
    program, _ = conv_chain_program()
    made_up = (counters(1200, 400, 100), counters(800, 250, 50), counters(90, 30, 10))
    result = RunResult(
        engine="verilator",
        outputs=np.zeros((2, 3, 1, 1), np.int64),
        values={},
        counters=dict(zip(NODES, made_up, strict=True)),
        timing=Timing(
            start=np.array([100, 700]), end=np.array([1100, 1900]), layer_ends={}, total=2500
        ),
        build_s=1.234,
        wall_s=0.5,
        notes={"node_cycles": 7000},
    )
    return program, result


def test_layer_rows_say_what_the_counters_say(run):
    program, result = run
    conv, dense = reports.layer_rows(program, result.counters, 2)
    assert conv == {
        "name": "conv",
        "shape": [8, 4, 4],
        "neurons": 128,
        "parameters": 8 + 8 * 2 * 9,
        "cores": 2,
        "macs": 1600,
        "sops": 1000,
        "spikes": 20,
        "packets": 30,
        "cycles": 250,
        "update_cycles": 2000,
        "fire_cycles": 50,
        "utilisation": 2000 / (4 * 800),
    }
    assert dense["cores"] == 1
    assert dense["sops"] == 45
    assert dense["utilisation"] == pytest.approx(90 / (4 * 40))


def test_layer_that_never_ran_has_no_utilisation(run):
    program, result = run
    idle = dict.fromkeys(counters(0, 0, 0), 0)
    result.counters[0, 2] = idle
    assert reports.layer_rows(program, result.counters, 2)[1]["utilisation"] == 0


def test_an_engine_without_a_clock_leaves_cycles_out(run):
    program, result = run
    clock = ("stalled", "update_cycles", "fire_cycles", "overflow", "samples")
    counted = {
        node: {key: value for key, value in c.items() if key not in clock}
        for node, c in result.counters.items()
    }
    figures = reports.chip_figures(program, counted, 2)
    whole = reports.rtl_figures(program, result, 2)
    assert figures.keys() < whole.keys()
    for key in ("sops_per_image", "spikes_per_image", "energy_pj_per_image", "energy_memory"):
        assert figures[key] == whole[key]
    for row, timed in zip(figures["layers"], whole["layers"], strict=True):
        assert row == {**timed, **reports.NO_CYCLES}


def test_golden_counts_the_synapses_that_its_spikes_meet(rng):
    program, network = conv_chain_program()
    images = rng.integers(0, 256, (3, 2, 4, 4))
    golden = run_network(network, images)
    ran = run_engine("program", program, images)
    figures = reports.golden_figures(network, program.layers, {INPUT: images, **golden})
    on_cores = reports.chip_figures(program, ran.counters, 3)
    assert figures["sops_per_image"] == on_cores["sops_per_image"] > 0
    assert figures["energy_pj_per_image"] == on_cores["energy_pj_per_image"]
    cores = ("cores", "packets")
    for row, counted in zip(figures["layers"], on_cores["layers"], strict=True):
        assert row == {**counted, **dict.fromkeys(cores)}


def test_latency_is_the_first_images_and_interval_the_mean_distance_of_ends(run):
    _, result = run
    assert reports.timing_figures(result) == {"latency": 1000, "interval": 800}
    single = Timing(np.array([5]), np.array([15]), {}, 20)
    alone = RunResult(engine="verilator", outputs=result.outputs, values={}, timing=single)
    assert reports.timing_figures(alone) == {"latency": 10, "interval": None}
    without_start = Timing(np.array([]), np.array([15, 45]), {}, 50)
    alone = RunResult(engine="amaranth", outputs=result.outputs, values={}, timing=without_start)
    assert reports.timing_figures(alone) == {"latency": None, "interval": 30}


def test_rtl_figures_of_a_run(run):
    figures = reports.rtl_figures(*run, 2)
    assert figures["sops_per_image"] == 1045
    assert figures["spikes_per_image"] == 30
    assert figures["energy_pj_per_image"] == pytest.approx(1045 * 0.03)
    assert figures["lane_utilisation"] == pytest.approx(2090 / (4 * 840))
    # The busiest core's SOPs of an image, in an interval of 800 cycles of four lanes.
    assert figures["steady_lane_utilisation"] == pytest.approx(600 / (4 * 800))
    assert figures["overflow"] is False
    assert figures["simulation"] == {
        "engine": "verilator",
        "build_s": 1.23,
        "wall_s": 0.5,
        "cycles": 2500,
        "cycles_per_s": 5000,
        "node_cycles": 7000,
    }
    assert [row["name"] for row in figures["layers"]] == ["conv", "dense"]


def test_one_overflow_anywhere_is_reported(run):
    program, result = run
    result.counters[1, 1] = counters(1, 1, 1, overflow=1)
    assert reports.rtl_figures(program, result, 2)["overflow"] is True


def test_size_figures_need_no_run(run):
    program, _ = run
    assert reports.size_figures(program) == {
        "cores": 3,
        "mesh": [2, 2],
        "lanes": 4,
        "neurons": 131,
        "parameters": 152 + 99,
        "macs_per_image": 1696,
        "overflow_proved": True,
    }


def whole_report(run):
    program, _ = run
    figures = reports.rtl_figures(*run, 2)
    figures["cycles_per_image"] |= {"estimated_interval": 812.4, "estimated_latency": 1010}
    return {
        "model": "m",
        "dataset": "d",
        "data": "made up",
        "images": 2,
        "bit_exact": {"torch_golden": True, "golden_program": False, "golden_rtl": None},
        "accuracy": {"float": 0.9875, "quantized": 0.98, "rtl": None, "images": 360},
        **reports.size_figures(program),
        **figures,
    }


def test_table_has_a_line_for_every_layer(run):
    lines = reports.table(whole_report(run)).splitlines()
    assert lines[0].split() == [
        "layer",
        "neurons",
        "cores",
        "MACs",
        "SOPs",
        "spikes",
        "cycles",
        "utilisation",
    ]
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
def test_cells_stay_short(run, value, text):
    report = whole_report(run)
    report["layers"][0]["macs"] = value
    assert reports.table(report).splitlines()[2].split()[3] == text


def test_summary_states_every_verdict(run):
    text = reports.summary(whole_report(run))
    assert "float 98.75 %, quantized 98.00 % (360 test images), RTL - (2 images); made up" in text
    assert (
        "latency 1,000 (estimated 1,010), interval 800 (estimated 812; busiest core 200) per image"
    ) in text
    assert "3 cores of 4 lanes on 2 x 2 nodes; 251 parameters" in text
    assert "2,500 cycles in 0.5 s (5k cycles/s), built in 1.2 s" in text
    assert "torch = golden: equal, golden = program: NOT, golden = rtl: not run" in text


def test_json_is_written_whole_or_not_at_all(tmp_path, run):
    path = tmp_path / "new" / "report.json"
    reports.write_json(path, whole_report(run))
    before = path.read_text()
    assert json.loads(before)["layers"][1]["name"] == "dense"
    with pytest.raises(TypeError, match=r"^Object of type ndarray is not JSON serializable"):
        reports.write_json(path, {"layers": np.zeros(3)})
    assert path.read_text() == before
    reports.write_json(path, {"layers": []})
    assert json.loads(path.read_text()) == {"layers": []}
    assert [p.name for p in path.parent.iterdir()] == ["report.json"]
