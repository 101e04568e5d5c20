# SPDX-License-Identifier: Apache-2.0
"""Where destinations of the best placement exceed a table, others are tried, then fewer cores."""

from types import SimpleNamespace

import pytest

from stemcore.compiler.assembly import fit
from stemcore.compiler.assembly.destinations import DestinationsFullError
from stemcore.compiler.assembly.fit import N_ATTEMPTS, fit_to_mesh
from stemcore.compiler.mapping import place as mapping_place
from stemcore.compiler.mapping.partition import Partitioner
from stemcore.compiler.mapping.place import place, placements
from stemcore.golden.spec.presets import get_preset
from tests.support.chains import chain

TINY = get_preset("tiny")
NETWORK = chain((2, 12, 12), 4, 4)


@pytest.fixture(autouse=True)
def few_exchanges(monkeypatch):
    monkeypatch.setattr(mapping_place, "MAX_TRIALS", 40)
    monkeypatch.setattr(fit, "N_PLACEMENTS", N_PLACEMENTS)


N_PLACEMENTS = 3


def refusing(monkeypatch, n_times, need=33):
    """Tables of the first placements are too small; returns those that were checked."""
    checked = []
    right = fit.check_mapped

    def check_mapped(network, params, mapped):
        checked.append(mapped)
        if len(checked) <= n_times:
            raise DestinationsFullError("core", f"must hold {need} entries", "", need)
        right(network, params, mapped)

    monkeypatch.setattr(fit, "check_mapped", check_mapped)
    return checked


def test_the_best_placement_comes_first_then_others_by_cost():
    parts = Partitioner(NETWORK, TINY).cut(12)
    found = list(placements(NETWORK, TINY, parts.tiles, 4, 4))
    assert found[0] == place(NETWORK, TINY, parts.tiles, 4, 4)
    costs = [one.cost for one in found]
    assert costs == sorted(costs) and costs[0] < costs[-1]
    assert len({one.nodes for one in found[1:]}) > 2
    assert all(len(set(one.nodes)) == parts.n_cores for one in found)


@pytest.mark.medium
def test_a_placement_with_smaller_tables_takes_the_place_of_the_best(monkeypatch):
    best = fit_to_mesh(NETWORK, TINY, mesh=(4, 4))
    checked = refusing(monkeypatch, 2)
    other = fit_to_mesh(NETWORK, TINY, mesh=(4, 4))
    assert other.partition == best.partition
    assert checked[0] == best and checked[2] == other
    assert other.placement.nodes != best.placement.nodes


@pytest.mark.medium
def test_fewer_cores_are_tried_where_no_placement_fits(monkeypatch):
    fewest = Partitioner(NETWORK, TINY).fewest
    checked = refusing(monkeypatch, N_PLACEMENTS, need=48)
    found = fit_to_mesh(NETWORK, TINY, mesh=(5, 5))
    before = checked[0].partition.n_cores
    # The table has 32 entries, two thirds of what the cores of the first attempt need.
    assert fewest <= found.partition.n_cores <= max(fewest, before * 2 // 3) < before


@pytest.mark.medium
def test_the_first_error_stays_where_nothing_helps(monkeypatch):
    checked = refusing(monkeypatch, 1000)
    with pytest.raises(DestinationsFullError, match=r"^core: must hold 33 entries"):
        fit_to_mesh(NETWORK, TINY, mesh=(5, 5))
    assert len(checked) <= N_ATTEMPTS * N_PLACEMENTS
    counts = [mapped.partition.n_cores for mapped in checked]
    assert counts == sorted(counts, reverse=True) and len(set(counts)) > 1


@pytest.fixture
def tried(monkeypatch):
    """Numbers of cores, and meshes, that are tried while every table overflows by little."""
    tried = SimpleNamespace(cores=[], meshes=[], fewest=1)

    def cut(budget=None):
        return SimpleNamespace(n_cores=tried.fewest if budget is None else budget, tiles=())

    def one_placement(network, params, tiles, columns, rows, activity):
        tried.meshes.append((columns, rows))
        yield None

    def overflow(network, params, mapped):
        tried.cores.append(mapped.partition.n_cores)
        raise DestinationsFullError("core", "must hold 33 entries", "", 33)

    monkeypatch.setattr(fit, "Partitioner", lambda *of: SimpleNamespace(cut=cut))
    monkeypatch.setattr(fit, "placements", one_placement)
    monkeypatch.setattr(fit, "check_mapped", overflow)
    return tried


def fail_to_fit(**options):
    with pytest.raises(DestinationsFullError):
        fit_to_mesh(None, TINY, **options)


def test_it_gives_up_after_four_attempts(tried):
    fail_to_fit(cores=20)
    assert tried.cores == [20, 19, 18, 17]


@pytest.mark.parametrize("fewest", [18, 20])
def test_no_fewer_cores_are_tried_than_hold_the_network(tried, fewest):
    tried.fewest = fewest
    fail_to_fit(cores=20)
    assert tried.cores == list(range(20, fewest - 1, -1))


def test_the_mesh_that_was_asked_for_stays(tried):
    fail_to_fit(mesh=(6, 3), cores=17)
    assert set(tried.meshes) == {(6, 3)}
    assert tried.cores[0] == 17
    tried.cores.clear()
    fail_to_fit(mesh=(3, 2), cores=17)
    assert tried.cores == [6, 5, 4, 3]
