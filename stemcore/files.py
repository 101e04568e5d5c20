# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all, whatever ends the writing; reading nothing but files.

Contents go to a file of their own beside the place where they belong, and are renamed when all of
them are there. Whoever reads meanwhile sees the file before; a full disk, an interrupt or a second
process that writes the same file leaves that one or the new one, never a mixture.
"""

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

UNFINISHED = ".part-"  # how names of files begin that nobody may read yet
FORGOTTEN_S = 24 * 3600  # nobody writes one file for so long
_BLOCK = 1 << 20


@contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """The name of a new file to write; it becomes ``path`` if the block ends without an exception.

    Folders above are made. The name keeps the suffix of ``path``, which some writers go by. What is
    no file (a device, a pipe) has no contents that could be lost, and is written itself.

    Raises ``OSError`` with the name of ``path`` where the system has no room or no permission.
    """
    path = Path(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_forgotten(path.parent)
        if path.exists() and not path.is_file():
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            yield path
            return
        aside = path.with_name(f"{UNFINISHED}{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
        try:
            with naming(path, instead_of=aside):
                yield aside
                aside.replace(path)
        except BaseException:
            with suppress(OSError):
                aside.unlink()
            raise


def _remove_forgotten(folder: Path) -> None:
    """Takes away what processes left that were killed while they wrote."""
    for left in folder.glob(f"{UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > FORGOTTEN_S:
                left.unlink()


@contextmanager
def alone_in_folder(folder: Path | str) -> Iterator[None]:
    """Inside, no other process is in such a block for this folder, which is made if need be.

    The system frees the lock of a process that ends, however it ends, and nothing is left of it.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_whole(path: Path | str, contents: bytes | str) -> None:
    """Writes a file by :func:`written_whole`; text in UTF-8."""
    data = contents.encode() if isinstance(contents, str) else contents
    with written_whole(path) as aside:
        aside.write_bytes(data)


def open_file(path: Path | str) -> BinaryIO:
    """A file opened for reading; ``OSError`` with its name for what is none.

    A pipe that nobody writes to, or a device, would keep whoever reads it for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "no regular file", str(path))


def read_file(path: Path | str) -> bytes:
    """Contents of what :func:`open_file` opens."""
    with open_file(path) as file:
        return file.read()


def check_room(path: Path | str, n_bytes: int) -> None:
    """Raises the ``OSError`` that writing ``n_bytes`` to ``path`` would raise now; leaves no file.

    For results that come after hours: whoever cannot keep them should hear it before.
    """
    path = Path(path)
    with suppress(_Enough), written_whole(path) as aside:
        if aside == path:
            return
        with aside.open("wb") as file:
            for start in range(0, n_bytes, _BLOCK):
                file.write(bytes(min(_BLOCK, n_bytes - start)))
        raise _Enough


class _Enough(Exception):
    """There was room: the file is not wanted."""


@contextmanager
def naming(path: Path | str, *, instead_of: Path | None = None) -> Iterator[None]:
    """Inside, an ``OSError`` that names no file, or ``instead_of``, names ``path``.

    The system names a file where it is opened, not where it is written.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, instead_of, str(instead_of)):
            error.filename = os.fspath(path)
            del error.filename2  # of a renaming: one name says enough
        raise
