# SPDX-License-Identifier: Apache-2.0
"""Where units run: in this process, in local worker processes, or on a cluster of the user's.

=====================  ==========================================================================
``CLUSTER``            units run
=====================  ==========================================================================
``none``               in this process, one after another
``local``, ``local:N``  in N processes of this machine (default: one a processor)
``tcp://HOST:PORT``    on the workers of a Dask scheduler that the user has started; ``tls://..``
                       with the certificates of Dask's own configuration
=====================  ==========================================================================

Dask gives a unit of a worker that dies to another one. A unit that ends ``allowed-failures`` + 1
workers (Dask's configuration; 3 + 1) is given up. Messages between scheduler, workers and client
are pickles: who can reach an open port of a cluster can run programs there. Local processes listen
on 127.0.0.1 alone.
"""

import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stemcore.extras import require_extra

from .units import Unit, blob_hash, call, source_digest

NONE, LOCAL = "none", "local"
REMOTE = ("tcp://", "tls://")
WAIT_S = 30.0  # for a scheduler to answer, and for its first worker
_THREADS = {"OMP_NUM_THREADS": "1"}  # of a local worker: there are as many as processors


class Executor(ABC):
    """Runs units; ``name`` is for people."""

    name: str

    @abstractmethod
    def run(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Units with their results, as these come. The first exception of a unit is raised."""


class InProcess(Executor):
    """This process."""

    name = "this process"

    def run(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, Any]]:
        """In order."""
        for unit in units:
            with _quietly():
                result = call(unit.function, unit.arguments, unit.blobs, source_digest())
            yield unit, result


@contextmanager
def _quietly() -> Iterator[None]:
    """Units say nothing of their stages, here as on workers: one bar shows them all."""
    logger = logging.getLogger("stemcore")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class Workers(Executor):
    """The workers of a Dask scheduler that ``client`` is connected with."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name

    def run(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, Any]]:
        """As they come. Blobs are sent once each, and come again where the worker that has one
        dies."""
        from distributed import as_completed

        blobs: dict[str, Any] = {}
        futures = {}
        for unit in units:
            sent = {name: self._sent(blob, blobs) for name, blob in unit.blobs.items()}
            future = self.client.submit(
                call, unit.function, dict(unit.arguments), sent, source_digest(), key=unit.key
            )
            futures[future] = unit
        try:
            for future in as_completed(list(futures), loop=self.client.loop):
                yield futures[future], self._result(future, futures[future])
        finally:
            self.client.cancel(list(futures))

    def _sent(self, blob: bytes, blobs: dict[str, Any]) -> Any:
        import dask

        name = blob_hash(blob)
        if name not in blobs:
            # Above 10 MiB Dask warns whoever sends it with a task. Scattered it would be gone with
            # the worker that has it.
            with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
                blobs[name] = self.client.submit(_hold, blob, key=f"blob-{name}")
        return blobs[name]

    def _result(self, future: Any, unit: Unit) -> Any:
        from distributed import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            raise ValueError(
                f"{unit.name}: a worker must live until its unit is done; "
                f"{error.allowed_failures + 1} died at this one; give workers more memory, or take "
                "fewer of them"
            ) from error


def _hold(blob: bytes) -> bytes:
    return blob


def check_cluster(text: str) -> str:
    """``text``, if it names an executor; ``ValueError`` otherwise."""
    if re.fullmatch(rf"{NONE}|{LOCAL}(:[1-9][0-9]*)?|t(cp|ls)://[^\s/]+:[0-9]+", text):
        return text
    raise ValueError(
        f"CLUSTER: must be {NONE}, {LOCAL}, {LOCAL}:N or tcp://HOST:PORT, got {text!r}; "
        f"{LOCAL} takes this machine's processors"
    )


def processors() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def open_executor(text: str, n_units: int) -> Iterator[Executor]:
    """The executor that ``CLUSTER`` names, while the block lasts.

    Raises ``ValueError`` for a name that is none and for a cluster that does not answer,
    :class:`stemcore.extras.MissingExtraError` where Dask is missing.
    """
    if check_cluster(text) == NONE:
        yield InProcess()
        return
    require_extra("cluster", f"CLUSTER={text}")
    if text.startswith(REMOTE):
        with _connected(text) as workers:
            yield workers
        return
    n_workers = int(text.partition(":")[2] or processors())
    with _local(max(1, min(n_workers, n_units))) as workers:
        yield workers


@contextmanager
def _local(n_workers: int) -> Iterator[Workers]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,  # as of any process: Dask would end a worker that uses much
            silence_logs=logging.CRITICAL,
            env=_THREADS,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield Workers(client, f"{n_workers} local worker{'s' if n_workers > 1 else ''}")


@contextmanager
def _connected(address: str) -> Iterator[Workers]:
    from distributed import Client

    try:
        client = Client(address, timeout=WAIT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"CLUSTER={address}: a Dask scheduler must answer there within {WAIT_S:.0f} s; "
            f"{error}; start one with 'dask scheduler'"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_S)
        except TimeoutError as error:
            raise ValueError(
                f"CLUSTER={address}: the scheduler must have a worker, it has none after "
                f"{WAIT_S:.0f} s; start some with 'dask worker {address}'"
            ) from error
        n_workers = len(client.scheduler_info(n_workers=-1)["workers"])
        yield Workers(client, f"{n_workers} worker{'s' if n_workers > 1 else ''} of {address}")
