# SPDX-License-Identifier: Apache-2.0
"""A command that is stuck in native code, in a program or in threads ends all the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LIMIT_S = 2.0
MARK = "STEMCORE_TEST_MARK"
pytestmark = pytest.mark.slow

# Native code that comes back to Python after a minute: no signal handler of Python's runs before.
STUCK = """
import ctypes
import sys
from stemcore.__main__ import entry
from stemcore.runtime.commands import registry

class Command:
    NAME, GROUP, HELP, EXAMPLES = "stuck", registry.RUN, "sleep", ("stemcore stuck",)

    @staticmethod
    def add_arguments(parser):
        pass

    @staticmethod
    def run(arguments):
        from stemcore.golden.arithmetic.threads import for_each
        from stemcore.runtime.toolchain.process import run
        if {kind!r} == "native":
            print("ready", flush=True)
            ctypes.CDLL(None).sleep(60)
            ctypes.CDLL(None).sleep(60)
        elif {kind!r} == "child":
            print("ready", flush=True)
            run(["sh", "-c", "trap '' INT TERM; sleep 60 & sleep 60"], cwd=".")
        elif {kind!r} == "foreign":
            import subprocess
            with subprocess.Popen(["sh", "-c", "trap '' INT TERM; echo ready; exec sleep 60"]):
                pass
        else:
            print("ready", flush=True)
            for_each(lambda n: [ctypes.CDLL(None).sleep(60) for _ in range(2)], range(4))
        return 0

registry.commands()["stuck"] = Command
sys.argv[1:] = ["stuck"]
entry()
"""


def started(words, **variables):
    return subprocess.Popen(
        words,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes_of(mark):
    """Ids of all processes whose environment has ``MARK=mark``: children inherit it."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}".encode() in path.read_bytes().split(b"\0"):
                found.add(int(path.parent.name))
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return found


def ended(process, number, mark):
    """Sends the signal; returns exit status, lines of the error stream, and checks the rest."""
    begin = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    took = time.monotonic() - begin
    assert took < LIMIT_S, f"{took:.1f} s; {errors}"
    # The system takes a moment to remove what was killed.
    while processes_of(mark) and time.monotonic() - begin < LIMIT_S:
        time.sleep(0.05)
    assert not processes_of(mark)
    return process.returncode, errors.strip().splitlines()


@pytest.mark.parametrize("kind", ["native", "child", "foreign", "threads"])
@pytest.mark.parametrize(
    ("number", "status", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
    ids=["SIGINT", "SIGTERM"],
)
def test_command_ends_whatever_it_is_doing(kind, number, status, said, tmp_path):
    mark = str(tmp_path)
    script = STUCK.format(kind=kind)
    with started([sys.executable, "-c", script], **{MARK: mark}) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        assert processes_of(mark)
        assert ended(process, number, mark) == (status, [said])
