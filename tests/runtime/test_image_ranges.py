# SPDX-License-Identifier: Apache-2.0
"""Images in ranges give what one run over all of them gives."""

import json

import numpy as np
import pytest

from stemcore.compiler.pipeline import compile_network
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.presets import get_preset
from stemcore.runtime import image_ranges
from stemcore.runtime.cluster.units import Unit
from stemcore.runtime.commands.main import main
from stemcore.runtime.engines.result import RunResult, Timing
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.image_ranges import _plain as plain_of
from stemcore.runtime.image_ranges import first_differences, merged, range_size, range_units
from stemcore.runtime.prepare import prepare
from stemcore.runtime.prepared import finish
from stemcore.runtime.report.figures import timing_figures
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import simulate
from tests.support.random_networks import random_images, random_network

WAITING = ("stalled", "idle")  # counters that know where a range begins


def run_of(n_images, *, start=0, sops=0, overflow=0):
    ends = np.arange(n_images) * 10 + 30
    counters = {(0, 0): {"sops": sops, "overflow": overflow}, (1, 0): {"sops": 1, "overflow": 0}}
    timing = Timing(ends - 25, ends, {"fc": ends}, 100)
    notes = {"node_cycles": 7, "threads": 1, "other": start}
    outputs = np.arange(start, start + n_images).reshape(-1, 1, 1, 1)
    return plain_of(
        RunResult("made up", outputs, {}, counters, timing, build_s=1.0, wall_s=2.0, notes=notes)
    )


def test_ranges_follow_each_other_and_counters_add_up():
    parts = [run_of(3, sops=5), run_of(2, start=3, sops=6, overflow=1), run_of(1, start=5)]
    found = merged(json.loads(json.dumps(parts)))
    assert found.outputs.tolist() == [[[[n]]] for n in range(6)]
    assert found.counters == {
        (0, 0): {"sops": 11, "overflow": 1},
        (1, 0): {"sops": 3, "overflow": 0},
    }
    assert found.timing.end.tolist() == [30, 40, 50, 130, 140, 230]
    assert found.timing.start.tolist() == [5, 15, 25, 105, 115, 205]
    assert (found.timing.total, found.timing.begins) == (300, (0, 3, 5))
    assert (found.build_s, found.wall_s) == (3.0, 6.0)
    assert found.notes == {"node_cycles": 21, "threads": 1}


def test_interval_leaves_out_what_lies_between_ranges():
    assert timing_figures(merged([run_of(3), run_of(2)])) == {"latency": 25.0, "interval": 10.0}
    assert timing_figures(merged([run_of(1), run_of(1)]))["interval"] is None


def test_first_difference_names_its_range():
    units = [Unit(f"images {n} to {n + 4}", run_of, {}) for n in (0, 5, 10)]
    none = {"torch_golden": None, "golden_rtl": None}
    found = [{"differences": d} for d in (none, none | {"golden_rtl": "fc"}, {"golden_rtl": "x"})]
    assert first_differences(units, found) == {
        "torch_golden": None,
        "golden_rtl": "images 5 to 9, numbered from 0: fc",
    }


def test_ranges_are_smaller_where_layers_are_large(rng, monkeypatch):
    network = random_network(rng)
    n_values = sum(int(np.prod(layer.out_shape)) for layer in network.layers)
    assert range_size(network) == 50
    monkeypatch.setattr(image_ranges, "BATCH_VALUES", 7 * n_values + 1)
    assert range_size(network) == 7
    monkeypatch.setattr(image_ranges, "BATCH_VALUES", n_values - 1)
    assert range_size(network) == 1


@pytest.mark.sim
@pytest.mark.slow
def test_counters_of_the_gateware_add_up_over_ranges(rng):
    network = random_network(rng)
    program = compile_network(network, get_preset("tiny"))
    images = random_images(rng, network, 7)
    whole = run_engine("verilator", program, images)
    parts = [run_engine("verilator", program, images[a:b]) for a, b in ((0, 3), (3, 6), (6, 7))]
    found = merged([plain_of(part) for part in parts])
    assert np.array_equal(found.outputs, whole.outputs)
    assert np.array_equal(found.outputs, run_network(network, images)[program.output])
    assert found.counters.keys() == whole.counters.keys()
    for core in program.cores:
        node = core.x, core.y
        same = {k: v for k, v in whole.counters[node].items() if k not in WAITING}
        kept = {k: v for k, v in found.counters[node].items() if k not in WAITING}
        assert {k: kept[k] for k in ("sops", "spikes_in", "spikes_out", "fired", "hops")} == {
            k: same[k] for k in ("sops", "spikes_in", "spikes_out", "fired", "hops")
        }
        assert kept["samples"] == same["samples"] == 7
        assert kept["busy"] == same["busy"]


@pytest.mark.slow
def test_a_simulation_in_ranges_reports_what_one_run_does(tmp_path, monkeypatch):
    """Engine `program`, on a local worker: all figures, and what a fault of one range leads to."""
    monkeypatch.chdir(tmp_path)
    settings = Settings("digits_cnn")
    whole = simulate(settings, n_images=7, engine="program", accuracy_images=20).report
    monkeypatch.setattr(image_ranges, "RANGE_IMAGES", 3)
    ranges = simulate(
        settings, n_images=7, engine="program", accuracy_images=20, cluster="local:1"
    ).report
    for name in ("bit_exact", "sops_per_image", "spikes_per_image", "accuracy", "energy_memory"):
        assert ranges[name] == whole[name], name
    assert ranges["layers"] == whole["layers"]
    assert ranges["hashes"] == whole["hashes"]
    assert ranges["notes"][-1].startswith("in ranges: bars, floor plan, spikes and predictions")
    assert ranges["notes"][-1].endswith("first 3 images, all other figures of all of them")

    prepared = prepare(settings, n_train=512, n_test=7)
    units = range_units(finish(prepared), prepared.integers, "program", None)
    assert [unit.name for unit in units] == ["images 0 to 2", "images 3 to 5", "images 6 to 6"]

    def wrong(*arguments, **options):
        result = run_engine(*arguments, **options)
        result.values["layers.0"][1, 0, 0, 0] += 1
        return result

    monkeypatch.setattr(image_ranges, "run_engine", wrong)
    found = [unit.function(unit.arguments, unit.blobs) for unit in units[:2]]
    text = first_differences(units[:2], found)["golden_program"]
    assert text.startswith("images 0 to 2, numbered from 0: layers.0: image 1, neuron (channel 0,")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sim=golden"], r"CLUSTER: ranges of images are run by engines of memory images, got "),
        (["--waves=1"], r"CLUSTER: waves are written by one process, leave CLUSTER or WAVES out"),
        (["--cores-on-chip=2"], r"CLUSTER: ranges of images run on a chip with all cores of the"),
    ],
)
def test_what_ranges_cannot_do_is_refused(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sim", "--model=digits_cnn", "--cluster=local", *words]) == 2
    assert f"error: {message}" in capsys.readouterr().err
