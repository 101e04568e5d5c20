# SPDX-License-Identifier: Apache-2.0
"""The folder of a run's results: one run at a time, and all of its results or none.

::

    with RunFolder(folder, "verilator-images4", RESULTS) as run:
        (run.aside / "report.json").write_text(..)
        run.publish()

What lies in the folder is one run's, the last that came to its end. A run that begins moves the
results of the one before to ``earlier/<its name>/``, where they stay unless a run of the same name
takes their place: a run that fails or is interrupted leaves neither half of its own results nor
older ones that could be taken for them. Results are made in ``.running/`` and moved when all are
there; what a killed run left there is removed by the next. While a run lasts it holds ``.lock``,
which names its process; another waits for it. The system frees the lock of a process that ends,
however it ends.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

EARLIER = "earlier"
_ASIDE, _LOCK, _NAME = ".running", ".lock", ".name"
UNNAMED = "unnamed"  # results of versions that did not name their runs

# What a simulation leaves; the last is what says that the others are complete.
RESULTS = (
    *("quantized.npz", "program", "detections"),
    *("waves-*.fst", "waves-*.gtkw", "waves", ".surfer"),
    *("report.html", "report.json"),
)


class RunFolder:
    """Results of one run in ``folder``, which is made if need be.

    Parameters
    ----------
    folder : Path
    name : str
        Tells runs in this folder apart; runs of one name replace each other.
    results : iterable of str
        Patterns of everything that runs in this folder leave; the last one is moved last. Nothing
        else in the folder is touched.
    say : callable
        Is told when the run has to wait.

    Attributes
    ----------
    aside : Path
        Where the run puts its results, inside the ``with`` block.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        results: Iterable[str] = RESULTS,
        say: Callable[[str], None] = lambda line: None,
    ):
        self.folder, self.name, self._say = Path(folder), name, say
        self._results = tuple(results)
        self.aside = self.folder / _ASIDE
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self._lock = self._locked()
        try:
            self._retire()
            shutil.rmtree(self.aside, ignore_errors=True)
            self.aside.mkdir()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._lock is not None
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(self.folder)  # the system names no file where one is written
        try:
            shutil.rmtree(self.aside, ignore_errors=True)
            if error is not None:
                self._leave_nothing()
        finally:
            self._lock.close()

    def _leave_nothing(self) -> None:
        """Takes the folder away where nothing but our own two files is in it, while it is locked:
        who waits for the lock makes another folder."""
        if {path.name for path in self.folder.iterdir()} <= {_LOCK, _NAME}:
            shutil.rmtree(self.folder, ignore_errors=True)

    def publish(self) -> None:
        """Moves the results from aside into the folder; those of this name's last run go."""
        made = {path.name for path in self.aside.iterdir()}
        for pattern in self._results:
            for path in sorted(self.aside.glob(pattern)):
                path.replace(self.folder / path.name)
                made.discard(path.name)
        if made:
            raise ValueError(
                f"{self.folder}: a run's results must match {', '.join(self._results)}, got "
                f"{', '.join(sorted(made))}; name them in runtime/report/run_folder.py"
            )
        earlier = self.folder / EARLIER
        shutil.rmtree(earlier / self.name, ignore_errors=True)
        if earlier.exists() and not any(earlier.iterdir()):
            earlier.rmdir()

    def _locked(self) -> IO[str]:
        """The open lock file, held and with our process id in it."""
        path = self.folder / _LOCK
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a+")
            try:
                self._wait(file)
                if _is_same_file(file, path):
                    file.truncate(0)
                    file.write(str(os.getpid()))
                    file.flush()
                    return file
            except BaseException:
                file.close()
                raise
            file.close()  # the folder was removed while we waited

    def _wait(self, file: IO[str]) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            self._say(
                f"wait         process {file.read().strip() or 'of another user'} runs in "
                f"{self.folder}; this run begins when that one ends"
            )
            fcntl.flock(file, fcntl.LOCK_EX)

    def _retire(self) -> None:
        """Moves complete results to ``earlier/``, and removes what is left of others."""
        found = [path for pattern in self._results for path in self.folder.glob(pattern)]
        complete = any(self.folder.glob(self._results[-1]))
        name = self.folder / _NAME
        if complete:
            before = name.read_text().strip() if name.is_file() else UNNAMED
            place = self.folder / EARLIER / before
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            # What says that all is there goes first: what is moved half is never complete.
            for path in reversed(found):
                path.replace(place / path.name)
        else:
            for path in found:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        name.write_text(f"{self.name}\n")


def _is_same_file(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
