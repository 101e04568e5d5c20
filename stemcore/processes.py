# SPDX-License-Identifier: Apache-2.0
"""Programs that are started must not go on without whoever started them."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# The first process of a program's group. Whatever ends us, SIGKILL too, closes the pipe that it
# reads from, and then it ends the group: nothing that was started goes on without us.
_GUARD = ("/bin/sh", "-c", "read -r line; kill -KILL 0")

_groups: set[int] = set()


@contextmanager
def guarded_group() -> Iterator[int]:
    """A process group that ends with the block, or with this process. Yields its number."""
    guard = subprocess.Popen(
        _GUARD,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    assert guard.stdin is not None
    _groups.add(guard.pid)
    try:
        yield guard.pid
    finally:
        end_group(guard.pid)
        _groups.discard(guard.pid)
        guard.stdin.close()
        guard.wait()


def end_group(group: int) -> None:
    """Kill what belongs to a group, if anything does."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def end_groups() -> None:
    """Kill what belongs to any group of ours."""
    for group in list(_groups):
        end_group(group)
