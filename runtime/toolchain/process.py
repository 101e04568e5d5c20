# SPDX-License-Identifier: Apache-2.0
"""Running outside programs: one way to log, to fail and to share what was built."""

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from stemcore.processes import end_group, end_groups, guarded_group

ROOT = Path(__file__).resolve().parents[2]

LAST_LINES = 20
Simulator = Literal["icarus", "verilator"]  # of exported Verilog

# The make that started us would hand its command-line variables (PRESET, WAVES) to the tool's make.
_MAKE_VARIABLES = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GNUMAKEFLAGS")


class ToolError(RuntimeError):
    """An outside program is missing or failed. Its last lines are in the message."""

    def __init__(self, what: str, *, output: str = "", log: Path | None = None):
        lines = [line for line in output.splitlines() if line.strip()]
        text = [what, *(f"    {line}" for line in lines[-LAST_LINES:])]
        if log is not None:
            text.append(f"all of it: {log}")
        super().__init__("\n".join(text))
        self.output = output
        self.log = log


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables for an outside program: ours, the environment's programs first, make's left out."""
    env = {name: value for name, value in os.environ.items() if name not in _MAKE_VARIABLES}
    scripts = str(Path(sys.executable).parent)
    env["PATH"] = os.pathsep.join([scripts, env.get("PATH", os.defpath)])
    env.update(extra or {})
    return env


def find_program(name: str, *, hint: str) -> str:
    """Full path of a program, looked for beside the interpreter first."""
    path = shutil.which(name, path=environment()["PATH"])
    if path is None:
        raise ToolError(f"{name}: program not found; {hint}")
    return path


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 1800,
    accept: Iterable[int] = (0,),
) -> tuple[int, str]:
    """Run a program to its end. Returns its exit status and what it wrote to both outputs.

    ``log`` gets a copy. A status outside ``accept``, or no end within ``timeout_s``, raises
    :class:`ToolError`; then the program's children are ended too.
    """
    words = [str(word) for word in command]
    name = Path(words[0]).name
    with guarded_group() as group:
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env=environment(env),
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=group,
            )
        except OSError as error:
            raise ToolError(f"{name}: cannot be started: {error}; run `make env`") from error
        output, late = _wait(process, group, timeout_s)
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(f"$ {shlex.join(words)}\n{output}")
    if late:
        raise ToolError(f"{name}: no end within {timeout_s} s in {cwd}", output=output, log=log)
    if process.returncode not in set(accept):
        what = f"{name}: exit status {process.returncode} in {cwd}"
        raise ToolError(what, output=output, log=log)
    return process.returncode, output


def _wait(process: subprocess.Popen[str], group: int, timeout_s: float) -> tuple[str, bool]:
    """What a program writes until its end, and whether it had to be ended."""
    try:
        return process.communicate(timeout=timeout_s)[0], False
    except subprocess.TimeoutExpired:
        end_group(group)
        return process.communicate()[0], True
    except BaseException:
        end_group(group)
        process.communicate()
        raise


def end_all() -> None:
    """Ends every program that was started in a group of its own, and all other children."""
    end_groups()
    for child in _children():
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _children() -> list[int]:
    """Ids of this process's children, whoever started them; none where the system keeps no list."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            # Behind the name in parentheses, which may have any characters: state, parent's id.
            parent = path.read_text(errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.append(int(path.parent.name))
    return found


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold ``path`` against other processes: of two that build the same thing, one waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def content_key(files: Iterable[Path], *words: object) -> str:
    """Hash of the files' names and bytes, in order, and of ``words``."""
    digest = hashlib.sha256(repr(words).encode())
    for file in files:
        _add_file(digest, file.name, file)
    return digest.hexdigest()[:16]


def tree_key(folder: Path, pattern: str = "*.py") -> str:
    """Hash of the paths below ``folder``, at any depth, that match, and of their bytes."""
    digest = hashlib.sha256()
    for file in sorted(Path(folder).rglob(pattern)):
        _add_file(digest, file.relative_to(folder).as_posix(), file)
    return digest.hexdigest()[:16]


def _add_file(digest: "hashlib._Hash", name: str, file: Path) -> None:
    data = file.read_bytes()
    digest.update(f"{name}:{len(data)}:".encode())
    digest.update(data)


@contextmanager
def built_once(out_dir: Path, name: str, key: str) -> Iterator[tuple[Path, bool]]:
    """A folder ``out_dir/name-key`` filled once, whoever comes first.

    Yields the folder and whether it still has to be filled. It counts as filled when the block ends
    without an exception; what a failed or interrupted one left is removed by the next to try,
    so that its log can be read until then. A filled folder keeps a list of its files with their
    sizes and hashes: where one is missing, cut off or changed, the folder is filled again. Files
    that come later are not looked at.
    """
    folder = out_dir / f"{name}-{key}"
    if _is_whole(folder):
        yield folder, False
        return
    with locked(out_dir / f".{name}-{key}.lock"):
        if _is_whole(folder):
            yield folder, False
            return
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        yield folder, True
        _seal(folder)


_FILLED = ".filled"
_seen_whole: set[tuple[Path, int]] = set()  # folders and the time of their list: read once


def _seal(folder: Path) -> None:
    """Writes the list of what is in ``folder``, in one step."""
    files = {
        file.relative_to(folder).as_posix(): _fingerprint(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    aside = folder / f"{_FILLED}.part"
    aside.write_text(json.dumps(files, indent=0))
    aside.replace(folder / _FILLED)


def _is_whole(folder: Path) -> bool:
    """Whether every file that ``folder`` was filled with is there as it was."""
    try:
        mark = (folder, (folder / _FILLED).stat().st_mtime_ns)
        if mark in _seen_whole:
            return True
        files = json.loads((folder / _FILLED).read_text())
        whole = all(
            (folder / name).stat().st_size == print_[0] and _fingerprint(folder / name) == print_
            for name, print_ in files.items()
        )
    except (OSError, ValueError, AttributeError, TypeError, IndexError):
        return False  # no list, or one that is damaged itself
    if whole:
        _seen_whole.add(mark)
    return whole


def _fingerprint(file: Path) -> list[object]:
    """Size and hash: what a file must have to be the one that was built."""
    with file.open("rb") as opened:
        return [file.stat().st_size, hashlib.file_digest(opened, "sha256").hexdigest()]
