# SPDX-License-Identifier: Apache-2.0
"""Figures of the report, from a run that was made up."""

import json
from dataclasses import replace

import numpy as np
import pytest

from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT
from stemcore.runtime.engines.result import GroupRun, RunResult, Timing, VirtualRun
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.report import figures as reports
from tests.support.hand_programs import conv_chain_program
from tests.support.made_up_run import counters, made_up_run


@pytest.fixture
def run():
    return made_up_run()


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


def test_an_image_of_cores_in_turn_has_its_share_of_all_cycles(run):
    """Images leave the last group soon after each other; the groups before took their time too."""
    program, result = run
    groups = (GroupRun(1, ("conv",), 100, 60, 700, 5, 6), GroupRun(2, ("dense",), 60, 40, 90, 6, 1))
    turns = VirtualRun(2, (2, 1), 1, 2, groups)
    result = replace(result, virtual=turns)
    assert reports.timing_figures(result) == {"latency": 1000, "interval": 2500 / 2}
    assert reports.rtl_figures(program, result, 2)["steady_lane_utilisation"] is None
    figures = reports.virtual_figures(turns, 2)
    assert figures["load_cycles"] == 160
    assert figures["compute_cycles"] == 790
    assert (figures["flits_in"], figures["flits_out"]) == (11, 7)


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


def test_json_is_written_whole_or_not_at_all(tmp_path, run):
    path = tmp_path / "new" / "report.json"
    reports.write_json(path, {"layers": reports.size_figures(run[0])})
    before = path.read_text()
    assert json.loads(before)["layers"]["cores"] == 3
    with pytest.raises(TypeError, match=r"^Object of type ndarray is not JSON serializable"):
        reports.write_json(path, {"layers": np.zeros(3)})
    assert path.read_text() == before
    reports.write_json(path, {"layers": []})
    assert json.loads(path.read_text()) == {"layers": []}
    assert [p.name for p in path.parent.iterdir()] == ["report.json"]
