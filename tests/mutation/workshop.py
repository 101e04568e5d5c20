# SPDX-License-Identifier: Apache-2.0
"""A copy of the project in which faults are planted and tests run, in processes forked from this.

Packages that take long to import (torch, amaranth) are imported once, here; nothing of the project
itself is: a forked process imports that from the copy, with the fault in it.
"""

import importlib
import importlib.util
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutation.operators import Mutant
from tests.mutation.selection import Stage

FOLDERS = (
    ".ci",
    "benchmarks",
    "compiler",
    "golden",
    "hdl",
    "models",
    "runtime",
    "stemcore",
    "tests",
)
FILES = ("Makefile", "constraints.txt", "pyproject.toml")
MAPPED = ("benchmarks", "compiler", "golden", "hdl", "models", "runtime")
PRELOADED = ("amaranth.hdl", "amaranth.sim", "amaranth.back.rtlil", "numpy", "torch")
MEMORY = 12 << 30  # bytes of data; a fault may ask for any number
PASSED = 0  # exit status of pytest
TEST_SECONDS, STAGE_SECONDS = 60, 3600


@dataclass(frozen=True)
class Outcome:
    """What one run of tests gave.

    test : first that failed or passed its limit, or the file that could not be read; "" where all
        passed
    is_late : it passed its limit
    seconds : of processor time, of the process and those it waited for
    """

    test: str
    is_late: bool
    seconds: float


def preload() -> None:
    """Import what is the same for every fault."""
    for name in PRELOADED:
        if importlib.util.find_spec(name.partition(".")[0]):
            importlib.import_module(name)


class Workshop:
    """One copy of the project.

    root : of the project
    folder : the copy; what is there is removed
    cache : built simulators of the unchanged project, kept; those of faults are removed
    """

    def __init__(self, root: Path, folder: Path, cache: Path) -> None:
        self.root, self.folder, self.cache = root, folder, cache
        self.sources: dict[str, bytes] = {}
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in FOLDERS:
            shutil.copytree(root / name, folder / name)  # compiled code too: it stays valid
        for name in FILES:
            shutil.copy(root / name, folder)
        # The package over the folders, as links: what an editable installation maps by rules of
        # its own, which lead to the project and not to the copy.
        for name in MAPPED:
            (folder / "stemcore" / name).symlink_to(folder / name)

    def plant(self, mutant: Mutant) -> None:
        """Put the fault into the copy."""
        source = self.source(mutant.path)
        if source[mutant.start : mutant.stop].decode() != mutant.before:
            raise ValueError(
                f"{mutant.path}: must stay as it was when the faults were drawn; start again"
            )
        self._write(mutant.path, mutant.apply(source))

    def mend(self, mutant: Mutant) -> None:
        """Take it out again."""
        self._write(mutant.path, self.source(mutant.path))

    def source(self, path: str) -> bytes:
        """A file as it was copied; the project may change meanwhile."""
        if path not in self.sources:
            self.sources[path] = (self.folder / path).read_bytes()
        return self.sources[path]

    def _write(self, path: str, source: bytes) -> None:
        file = self.folder / path
        file.write_bytes(source)
        # Python takes compiled code for current where size and second of the source are the same.
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            compiled.unlink()

    def run(self, stage: Stage, *, is_changed: bool = True) -> Outcome:
        """Run the tests of ``stage`` in the copy, until one fails.

        A test may take ``TEST_SECONDS`` of processor time, which other work on this machine does
        not change; all of them ``STAGE_SECONDS`` of the clock's, for those that wait.
        """
        log, said = self.folder / "log", self.folder / "said"
        said.write_text("")
        cache = self.folder / "cache" if is_changed else self.cache
        begin = _children_seconds()
        child = os.fork()
        if child == 0:
            status = 70
            try:
                status = self._inside(stage, log, said, cache)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        try:
            status = _wait(child, STAGE_SECONDS)
        finally:  # also where this process is told to end
            _end_group(child)
            shutil.rmtree(self.folder / "cache", ignore_errors=True)
        seconds = _children_seconds() - begin
        if status == PASSED:
            return Outcome("", False, seconds)
        is_late = status is None or status < 0
        return Outcome(said.read_text() or f"exit status {status}", is_late, seconds)

    def _inside(self, stage: Stage, log: Path, said: Path, cache: Path) -> int:
        """The forked process: never returns to what the parent does."""
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(self.folder)
        os.environ.update({"PYTHONPATH": str(self.folder), "STEMCORE_CACHE": str(cache)})
        os.environ.update(stage.environment)
        for name in [n for n in sys.modules if n.partition(".")[0] in ("tests", "stemcore")]:
            del sys.modules[name]
        kept = [path for path in sys.path if path not in ("", str(self.root))]
        sys.path[:] = [str(self.folder), *kept]
        sys.path_importer_cache.clear()
        golden = importlib.import_module("stemcore.golden")
        if not Path(golden.__file__).is_relative_to(self.folder):
            raise RuntimeError(f"mutation: tests must import the copy, got {golden.__file__}")
        words = ["-x", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist"]
        return int(pytest.main([*words, *stage.options, *stage.tests], plugins=[_First(said)]))


def case_of_each_first(items: list[pytest.Item]) -> None:
    """Order tests so that one case of every function comes before the second case of any.

    Where a fault shows at all, mostly any case of the right function shows it.
    """
    seen: Counter[str] = Counter()
    turns = {}
    for item in items:
        function = item.nodeid.partition("[")[0]
        turns[item.nodeid] = seen[function]
        seen[function] += 1
    items.sort(key=lambda item: turns[item.nodeid])


class _First:
    """Writes the name of the test that runs, and at last of the first one that fails."""

    def __init__(self, said: Path) -> None:
        self.said = said
        self.is_over = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        case_of_each_first(items)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if not self.is_over:
            self.said.write_text(nodeid)
            # Nobody handles the signal: it ends the process, whatever that is busy with.
            signal.setitimer(signal.ITIMER_PROF, TEST_SECONDS)

    def pytest_runtest_logfinish(self) -> None:
        # What pytest does after the last test is no part of it.
        signal.setitimer(signal.ITIMER_PROF, 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.is_over |= report.failed

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.is_over:
            self.is_over = True
            self.said.write_text(report.nodeid or "collection")


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wait(child: int, limit: float) -> int | None:
    """Exit status of ``child``, negative for a signal; None where it had to be ended."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    _end_group(child)
    os.waitpid(child, 0)
    return None


def _end_group(child: int) -> None:
    """What the process started and left."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        return


def head(root: Path) -> str:
    """Commit of the project, for the record."""
    run = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    return run.stdout.strip()
