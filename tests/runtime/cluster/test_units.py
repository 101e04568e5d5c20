# SPDX-License-Identifier: Apache-2.0
"""Keys of units, and their results as files."""

import json

import pytest

from stemcore.runtime.cluster import units
from stemcore.runtime.cluster.executors import check_cluster
from stemcore.runtime.cluster.run import run_units
from stemcore.runtime.cluster.store import MISSING, Store
from stemcore.runtime.cluster.units import Unit, call
from tests.support.cluster_units import refuse, square


def unit(number, **more):
    return Unit(f"square of {number}", square, {"number": number, **more}, {"bytes": b"\1\2"})


def test_key_changes_with_everything_that_the_result_depends_on(monkeypatch):
    keys = {
        unit(1).key,
        unit(2).key,
        unit(1, seconds=0).key,
        Unit("", refuse, {"number": 1}, {"bytes": b"\1\2"}).key,
        Unit("", square, {"number": 1}, {"bytes": b"\1\3"}).key,
        Unit("", square, {"number": 1}, {"other": b"\1\2"}).key,
    }
    monkeypatch.setattr(units, "source_digest", lambda: "another")
    keys.add(unit(1).key)
    monkeypatch.setattr(units, "versions", lambda: {"numpy": "another"})
    keys.add(unit(1).key)
    assert len(keys) == 8


def test_key_depends_on_neither_name_nor_order():
    one = Unit("a", square, {"number": 1, "seconds": 0})
    assert one.key == Unit("b", square, {"seconds": 0, "number": 1}).key


def test_arguments_that_json_does_not_hold_are_refused():
    with pytest.raises(ValueError, match="Out of range float"):
        _ = Unit("nan", square, {"number": float("nan")}).key


def test_worker_with_other_files_refuses():
    with pytest.raises(ValueError, match=r"^CLUSTER: all workers must have the files .* install"):
        call(square, {"number": 1}, {}, "another source")


@pytest.mark.parametrize("text", ["none", "local", "local:3", "tcp://host:1", "tls://host:1"])
def test_executors_have_names(text):
    assert check_cluster(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "local:0", "local:", "localhost", "host:8786", "http://a", "tcp://host", "tcp://:1"],
)
def test_what_names_no_executor_is_refused(text):
    with pytest.raises(ValueError, match=r"^CLUSTER: must be none, local, .* got '"):
        check_cluster(text)


def test_results_are_kept_and_found_again(tmp_path):
    log = tmp_path / "log"
    wanted = [{"square": n * n, "blobs": 3} for n in (3, 1, 3)]
    some = [unit(3, log=str(log)), unit(1, log=str(log)), unit(3, log=str(log))]
    said = []
    assert run_units(some, folder=tmp_path / "units", say=said.append) == wanted
    assert run_units(some, folder=tmp_path / "units", say=said.append) == wanted
    assert log.read_text().split() == ["3", "1"]  # equal units once, and none a second time
    assert said == [
        "units        0 of 2 units are there from before; 2 run on this process",
        "units        2 of 2 units are there from before",
    ]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-20],
        lambda text: text.replace('"square":9', '"square":8'),
        lambda text: text.replace('"version":1', '"version":0'),
        lambda text: "[]",
        lambda text: "[" * 100_000,
    ],
    ids=["cut", "changed", "version", "foreign", "deep"],
)
def test_damaged_result_is_computed_again(tmp_path, spoil):
    store, one = Store(tmp_path), unit(3)
    assert store.find(one) is MISSING
    kept = store.keep(one, {"square": 9, "blobs": 3})
    assert store.find(one) == kept == {"square": 9, "blobs": 3}
    path = store.path(one)
    path.write_text(spoil(path.read_text()))
    assert store.find(one) is MISSING
    assert run_units([one], folder=tmp_path) == [kept]
    assert json.loads(path.read_text())["result"] == kept


def test_result_of_another_unit_is_not_taken(tmp_path):
    store = Store(tmp_path)
    store.keep(unit(3), 9)
    store.path(unit(3)).rename(store.path(unit(4)))
    assert store.find(unit(4)) is MISSING


def test_results_before_a_failure_are_kept(tmp_path):
    some = [Unit(str(n), refuse, {"number": n}) for n in range(4)]
    with pytest.raises(ValueError, match=r"^number: must not be 2$"):
        run_units(some, folder=tmp_path)
    store = Store(tmp_path)
    assert [store.find(one) for one in some] == [0, 1, MISSING, MISSING]


def test_progress_counts_what_is_run(tmp_path):
    told = []
    run_units([unit(1)], folder=tmp_path)

    def progress(total):
        return lambda done, cycles: told.append((done, total))

    run_units([unit(1), unit(2), unit(3)], folder=tmp_path, progress=progress)
    assert told == [(0, 2), (1, 2), (2, 2)]
