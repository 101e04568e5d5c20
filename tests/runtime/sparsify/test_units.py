# SPDX-License-Identifier: Apache-2.0
"""Units of a search: what they measure, when they are run again, and workers that share them."""

import json

import numpy as np
import pytest

import stemcore.runtime.sparsify.points as points
import stemcore.runtime.sparsify.selection as selection
import stemcore.runtime.sparsify.units as module
from stemcore.compiler.sparsity.search import Measurement, scheme_tables
from stemcore.runtime.cluster.units import plain_bytes
from stemcore.runtime.prepare import prepare
from stemcore.runtime.settings import Settings
from stemcore.runtime.sparsify.operation_counts import measure_choice
from stemcore.runtime.sparsify.search import sparsify
from stemcore.runtime.sparsify.units import Images, Units, candidates_of, measure, rank


@pytest.fixture(scope="module")
def prepared():
    return prepare(Settings("digits_cnn"))


@pytest.mark.medium
def test_candidates_by_population_are_those_of_all_at_once(prepared):
    images, units = Images("some", prepared.integers[:15]), Units(prepared.compilation)
    tables = scheme_tables(prepared.exact, "rd")
    ranked = [units.ranking(images, "rd", name) for name in tables]
    found = candidates_of([rank(unit.arguments, unit.blobs) for unit in ranked])
    assert found == Measurement(prepared.network, tables).run(prepared.integers[:15])
    assert len({unit.key for unit in ranked}) == len(tables)


@pytest.mark.medium
def test_a_choice_is_what_the_compilation_says(prepared):
    images, units = Images("some", prepared.integers[:15]), Units(prepared.compilation)
    choice = {"layers.0": "rd20", "input": "rd5"}
    unit = units.choice(images, choice)
    found = json.loads(plain_bytes(measure(unit.arguments, unit.blobs)))
    seen = measure_choice(prepared.compilation, choice, prepared.integers[:15])
    np.testing.assert_array_equal(found["outputs"], seen.outputs)
    assert (found["sops"], found["spikes"]) == (seen.sops, seen.spikes)
    plain = units.choice(images, {})
    assert found["cycles"] < measure(plain.arguments, plain.blobs)["cycles"]
    again = Units(prepared.compilation).choice(Images("others", prepared.integers[:15]), choice)
    other = units.choice(Images("some", prepared.integers[:14]), choice)
    assert again.key == unit.key
    assert len({unit.key, plain.key, other.key}) == 3


@pytest.fixture
def few_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(points, "RANKING_IMAGES", 20)
    monkeypatch.setattr(points, "VALIDATION_IMAGES", 60)
    monkeypatch.setattr(points, "STRENGTH_IMAGES", 20)


def found_by(report):
    return {key: report[key] for key in report if key not in ("command", "started", "ended")}


@pytest.mark.slow
def test_an_interrupted_search_goes_on_where_it_was(few_images, monkeypatch):
    measured = []

    def measure_three(arguments, blobs):
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append(arguments["tables"])
        return measure(arguments, blobs)

    def count(arguments, blobs):
        measured.append(arguments["tables"])
        return measure(arguments, blobs)

    for function in (measure_three, count):
        # Same name, same key: a unit is what it is called.
        function.__module__, function.__qualname__ = measure.__module__, measure.__qualname__
    settings = Settings("digits_cnn")
    monkeypatch.setattr(module, "measure", measure_three)
    with pytest.raises(KeyboardInterrupt):
        sparsify(settings, schemes=["rd"])
    monkeypatch.setattr(module, "measure", count)
    report, _ = sparsify(settings, schemes=["rd"])
    # All validation choices, and two on test images, of which none was measured twice.
    assert len(measured) == len({tuple(tables.items()) for tables in measured}) + 2
    measured.clear()
    again, _ = sparsify(settings, schemes=["rd"])
    assert not measured
    assert found_by(again) == found_by(report)


@pytest.mark.long
@pytest.mark.slow
def test_workers_find_the_tables_of_one_process(few_images, tmp_path, monkeypatch):
    # All points are expected at once: workers are started for candidates, points and test images.
    monkeypatch.setattr(selection, "N_POINTS", 100)
    settings, options = Settings("digits_cnn"), {"schemes": ["rd"], "cost": "cycles"}
    alone, _ = sparsify(settings, **options)
    (tmp_path / "sim_build" / "units").rename(tmp_path / "before")
    shared, folder = sparsify(settings, cluster="local:2", **options)
    assert folder.name == "sparsify-rd-cycles"
    assert found_by(shared) == found_by(alone)
    assert shared["cost"] == "cycles"
    assert shared["chosen"]["rd"]["cycles"] < shared["none"]["cycles"]
