# SPDX-License-Identifier: Apache-2.0
"""How a command ends: exceptions become exit statuses, and Ctrl-C ends it within two seconds."""

import dis
import errno
import os
import platform
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

DIFFERENT, MENDABLE, BUG, INTERRUPTED, BROKEN_PIPE, TERMINATED = 1, 2, 70, 130, 141, 143
_REMEDIES = (
    ((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room there, or work in another folder"),
    ((errno.EACCES, errno.EPERM, errno.EROFS), "allow it, or work in another folder"),
    ((errno.EMFILE, errno.ENFILE), "close other programs, or raise the limit (ulimit -n)"),
)
GRACE_S = 1.5  # for whoever was interrupted to put away what it has open
STOPPED = {INTERRUPTED: "interrupted", TERMINATED: "terminated"}


class Terminated(KeyboardInterrupt):
    """SIGTERM, as an exception that passes ``except Exception`` like Ctrl-C does."""


def open_standard_files() -> None:
    """Gives the null device to each of the three standard files that was closed.

    The system would hand their numbers to the next files that are opened, and what we say would be
    written into results.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def translate(error: BaseException, words: list[str]) -> int:
    """The exit status for what a command raised; says why on the standard error stream."""
    from ..engines.compare import Difference
    from ..errors import EngineError

    if isinstance(error, KeyboardInterrupt):
        _end_children()
        status = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        print(STOPPED[status], file=sys.stderr)
        return status
    if isinstance(error, BrokenPipeError):
        return quiet_output()
    if isinstance(error, Difference):
        print(f"DIFFERENT    {error}", file=sys.stderr)
        return DIFFERENT
    if is_mendable(error):
        print(f"error: {explain(error)}", file=sys.stderr)
        return MENDABLE
    path = _write_traceback(error, words)
    # A failed run explains itself; of anything else the name of the exception is half of the text.
    what = str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"
    print(
        f"bug: {what}\n"
        f"This is a fault of stemcore, not of your input. Please report it with {path}",
        file=sys.stderr,
    )
    return BUG


def explain(error: BaseException) -> str:
    """What the user should hear: of what the system refused the place and a way out too."""
    if isinstance(error, MemoryError):
        why = f" ({error})" if str(error) else ""
        return f"memory: there must be enough of it; it ran out{why}; take fewer images"
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    name = "output" if error.filename is None else os.fspath(error.filename)
    where = os.fsencode(name).decode("utf-8", "backslashreplace")
    remedy = next((text for numbers, text in _REMEDIES if error.errno in numbers), "check the path")
    return f"{where}: {error.strerror}; {remedy}"


def end_output() -> int | None:
    """Writes what is buffered for the standard output; a status where that cannot be."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return quiet_output()
    except OSError as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        quiet_output()
        return MENDABLE
    return None


def quiet_output() -> int:
    """Whoever read our output has left: what is still buffered must not fail a second time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def is_mendable(error: BaseException) -> bool:
    """Whether the message is meant for the user.

    ``ValueError`` is both what this project raises for input that cannot be used, and what any
    library raises when it is called wrongly; only a ``raise`` in our own code gives a message.
    """
    from stemcore.compiler.errors import CompileError
    from stemcore.extras import MissingExtraError

    from ..toolchain import ToolError

    if isinstance(error, CompileError | MissingExtraError | OSError | ToolError | MemoryError):
        return True
    # What Python 3.11 and 3.12 make of links that lead to themselves.
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop from"):
        return True
    return isinstance(error, ValueError) and _is_raised_by_us(error)


def _is_raised_by_us(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    name = str(trace.tb_frame.f_globals.get("__name__", ""))
    instruction = trace.tb_frame.f_code.co_code[trace.tb_lasti]
    return name.split(".")[0] == "stemcore" and dis.opname[instruction] == "RAISE_VARARGS"


def _write_traceback(error: BaseException, words: list[str]) -> Path:
    """A file with all that a report of a bug needs, in sim_build or the temporary folder."""
    import importlib.metadata
    import tempfile

    text = "\n".join(
        [
            f"command    stemcore {' '.join(words)}",
            f"version    {importlib.metadata.version('stemcore')}",
            f"python     {platform.python_version()} on {platform.platform()}",
            "",
            "".join(traceback.format_exception(error)),
        ]
    )
    name = f"stemcore-failure-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (Path.cwd() / "sim_build", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        except OSError:
            continue
        return folder / name
    sys.stderr.write(text)
    return Path("the text above")


def _end_children() -> None:
    """Programs that were started, and worker processes: none outlives the command."""
    from ..toolchain.process import end_all

    end_all()


@contextmanager
def stops_in_time() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM end the process within two seconds, whatever it is doing.

    Python raises ``KeyboardInterrupt`` between two of its own instructions only: a simulation or a
    matrix product may run for minutes before that, and thread pools wait for their threads. So a
    thread is told of the signal as it arrives; where the exception has not ended the command after
    ``GRACE_S``, it ends the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's affair
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    finished = threading.Event()
    watcher = threading.Thread(target=_watch, args=(reader, finished), daemon=True)
    fd_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    handlers = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, terminate),
    }
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        signal.set_wakeup_fd(fd_before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.write(writer, b"\0")  # no signal: the watcher may go
        watcher.join()
        os.close(reader)
        os.close(writer)


def _watch(reader: int, finished: threading.Event) -> None:
    """Waits for a signal's number in the pipe; ends the process if nobody else does."""
    for number in iter(lambda: os.read(reader, 1)[0], 0):
        if number not in (signal.SIGINT, signal.SIGTERM):
            continue
        if not finished.wait(GRACE_S):
            _end_children()
            status = 128 + number
            os.write(2, f"\n{STOPPED[status]}\n".encode())
            os._exit(status)
