# SPDX-License-Identifier: Apache-2.0
"""Work on independent parts of a batch, one thread a processor.

A matrix product on two threads is worth less than two products beside each other: what lies
between the products (windows laid out, requantization) then runs on every processor too.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")


@cache
def n_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all libraries of the process, which takes a while


def for_each(function: Callable[[T], None], items: Iterable[T]) -> None:
    """``function`` of every item, several at a time; matrix products inside use one thread each.

    An exception is that of the first item that raises one; items after it may have been done.
    """
    items = list(items)
    n_threads = min(n_processors(), len(items))
    if n_threads < 2:
        for item in items:
            function(item)
        return
    with (
        _libraries().limit(limits=1, user_api="blas"),
        ThreadPoolExecutor(n_threads) as threads,
    ):
        for _ in threads.map(function, items):
            pass
