# SPDX-License-Identifier: Apache-2.0
"""A real scheduler with worker processes: results are those of one process, whatever dies."""

import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import LocalCluster

from stemcore.extras import MissingExtraError
from stemcore.runtime.cluster import executors
from stemcore.runtime.cluster.run import run_units
from stemcore.runtime.cluster.store import MISSING, Store
from stemcore.runtime.cluster.units import Unit
from tests.support.cluster_units import always_die, refuse, square, square_or_die

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_killed_workers_change_nothing(tmp_path):
    """Two of the numbers kill the worker that is given them, one after the other."""
    arguments = {"fatal": [2, 9], "markers": str(tmp_path)}
    some = [
        Unit(str(n), square_or_die, {"number": n, **arguments}, {"shared": b"\1" * 50_000})
        for n in range(12)
    ]
    found = run_units(some, cluster="local:2", folder=tmp_path / "two")
    assert {path.name for path in tmp_path.glob("[0-9]*")} == {"2", "9"}
    assert found == [{"square": n * n, "blobs": 50_000} for n in range(12)]
    assert found == run_units(some, folder=tmp_path / "one")


@pytest.mark.slow
def test_a_large_blob_is_sent_without_a_warning(tmp_path):
    """A program of some ten MB: Dask would warn the user of a graph of that size."""
    blob = b"\1" * (20 << 20)
    found = run_units(
        [Unit("1", square, {"number": 1}, {"program": blob})], cluster="local:1", folder=tmp_path
    )
    assert found == [{"square": 1, "blobs": len(blob)}]


@pytest.mark.slow
def test_unit_that_ends_every_worker_is_given_up_and_named(tmp_path):
    some = [Unit("deadly", always_die, {})]
    with pytest.raises(ValueError, match=r"^deadly: a worker must live .*; 4 died at this one; "):
        run_units(some, cluster="local:2", folder=tmp_path)


@pytest.mark.slow
def test_failure_on_a_worker_is_raised_as_it_is(tmp_path):
    some = [Unit(str(n), refuse, {"number": n}) for n in (2, 3)]
    with pytest.raises(ValueError, match=r"^number: must not be 2$"):
        run_units(some, cluster="local:1", folder=tmp_path)


@pytest.mark.slow
def test_killed_client_goes_on_where_it_was(tmp_path):
    """Units that were done before the kill are not run again, and no worker outlives the client."""
    log = tmp_path / "log"
    script = tmp_path / "client.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.runtime.cluster.test_workers import long_units\n"
        "from stemcore.runtime.cluster.run import run_units\n"
        "if __name__ == '__main__':\n"
        f"    run_units(long_units({str(log)!r}), cluster='local:2', folder=Path(sys.argv[1]))\n"
    )
    folder = tmp_path / "units"
    client = subprocess.Popen(
        [sys.executable, script, folder],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    while len(list(folder.glob("*.json"))) < 3:
        assert client.poll() is None
        time.sleep(0.02)
    client.send_signal(signal.SIGKILL)
    client.wait()
    store = Store(folder)
    done = [u for u in long_units(str(log)) if store.find(u) is not MISSING]
    assert 3 <= len(done) < 12
    time.sleep(1)  # what was begun may still end, with workers that have lost their client
    log.unlink()
    assert run_units(long_units(str(log)), folder=folder) == [
        {"square": n * n, "blobs": 0} for n in range(12)
    ]
    assert len(log.read_text().split()) == 12 - len(done)


def long_units(log):
    """Twelve, most of which take a while."""
    return [
        Unit(str(n), square, {"number": n, "log": log, "seconds": 0.2 if n > 2 else 0})
        for n in range(12)
    ]


@pytest.mark.slow
def test_cluster_of_the_users_own_is_used_and_left_running(tmp_path, monkeypatch):
    """Its workers are asked for by address; without any, the message says how to start one."""
    with LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    ) as cluster:
        address = cluster.scheduler_address
        some = [Unit(str(n), square, {"number": n}) for n in range(4)]
        monkeypatch.setattr(executors, "WAIT_S", 0.5)
        with pytest.raises(ValueError, match=r"^CLUSTER=tcp://.* must have a worker, it has none"):
            run_units(some, cluster=address, folder=tmp_path)
        monkeypatch.setattr(executors, "WAIT_S", 60.0)
        cluster.scale(2)
        said = []
        found = run_units(some, cluster=address, folder=tmp_path, say=said.append)
        assert found == [{"square": n * n, "blobs": 0} for n in range(4)]
        assert re.search(rf"; 4 run on [12] workers? of {address}$", said[0])
        run_units([Unit("5", square, {"number": 5})], cluster=address, folder=tmp_path)


@pytest.mark.medium
def test_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "WAIT_S", 0.2)
    with pytest.raises(
        ValueError, match=r"^CLUSTER=tcp://127\.0\.0\.1:9: a Dask scheduler must answer there"
    ):
        run_units([Unit("a", square, {"number": 1})], cluster="tcp://127.0.0.1:9", folder=tmp_path)


def test_missing_dask_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("stemcore.extras.importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"^CLUSTER=local: .* 'stemcore\[cluster\]'"):
        run_units([Unit("a", square, {"number": 1})], cluster="local", folder=tmp_path)
