# SPDX-License-Identifier: Apache-2.0
"""Read-only trees of files: a folder, or an uncompressed tar archive that is never unpacked.

Links to files and folders are followed in a folder, as ``torchvision.datasets.ImageFolder`` does.
Files and folders whose names begin with a dot (``.ipynb_checkpoints``, ``._a.jpg``) are no data and
are not seen.
"""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError

SUFFIX = ".tar"


def shown(name: object) -> str:
    """A name as text that can be printed and written: bytes that are no UTF-8 become ``\\xe9``."""
    return os.fsencode(str(name)).decode("utf-8", "backslashreplace")


class FolderTree:
    """Files below a folder. Names are relative, with ``/`` between their parts."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def names(self, below: str = "") -> list[str]:
        """Sorted names of all files below a part of the tree."""
        top = self.path / below
        return sorted(
            (path / name).relative_to(self.path).as_posix()
            for path, files, _ in self._walk(top, ())
            for name in files
        )

    def folders(self, below: str) -> list[str]:
        """Sorted names of the folders directly in a part of the tree, empty ones among them."""
        top = self.path / below
        return next((sorted(folders) for _, _, folders in self._walk(top, ())), [])

    def _walk(
        self, folder: Path, above: tuple[tuple[int, int], ...]
    ) -> Iterator[tuple[Path, list[str], list[str]]]:
        """``(folder, files, folders)`` from ``folder`` down; ``above`` are the folders it is in."""
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        except OSError as error:
            raise DataError(
                f"{shown(folder)}: the folder must be readable; {error.strerror} came; allow it, "
                "or take it out"
            ) from error
        here = status.st_dev, status.st_ino
        if here in above:
            raise DataError(
                f"{shown(folder)}: a link must not lead to a folder that it lies in; this one "
                "does; take it out"
            )
        seen = [entry for entry in entries if not entry.name.startswith(".")]
        for entry in seen:
            if entry.is_symlink() and not Path(entry.path).exists():
                raise DataError(
                    f"{shown(entry.path)}: a link must lead to a file or a folder; nothing is at "
                    f"{shown(Path(entry.path).readlink())}; mend it, or take it out"
                )
        folders = [entry.name for entry in seen if entry.is_dir()]
        yield folder, [entry.name for entry in seen if entry.is_file()], folders
        for name in folders:
            yield from self._walk(folder / name, (*above, here))

    def read(self, name: str) -> bytes:
        """Bytes of one file. Raises :exc:`DataError` where there is none."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise DataError(
                f"{shown(self.path)}/{shown(name)}: the file must exist and be readable; "
                f"{error.strerror} came; get the data set again"
            ) from error


class TarTree:
    """The same view of a tar archive; links and devices in it are not seen."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._folders: set[str] = set()
        self._places: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    self._add(member)
                end = archive.offset
            # Where an archive was cut between two files, nothing else tells.
            with Path(path).open("rb") as file:
                file.seek(end)
                if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    raise tarfile.ReadError(f"no end at byte {end}: it was cut, or is damaged")
        except (tarfile.TarError, OSError, EOFError) as error:
            raise DataError(
                f"{shown(path)}: must be a tar archive; reading it gave {error}; get the file again"
            ) from error

    def _add(self, member: tarfile.TarInfo) -> None:
        name = member.name.removeprefix("./")
        parts = name.split("/")
        if any(part.startswith(".") for part in parts):
            return
        is_file = member.isreg() and not member.sparse
        if is_file:
            self._places[name] = member.offset_data, member.size
        if is_file or member.isdir():
            n_folders = len(parts) - is_file
            self._folders |= {"/".join(parts[: i + 1]) for i in range(n_folders)}

    def names(self, below: str = "") -> list[str]:
        """Sorted names of all files below a part of the archive."""
        prefix = below.rstrip("/") + "/" if below else ""
        return sorted(name for name in self._places if name.startswith(prefix))

    def folders(self, below: str) -> list[str]:
        """Sorted names of the folders directly in a part of the archive."""
        prefix = below.rstrip("/") + "/" if below else ""
        inside = (name.removeprefix(prefix) for name in self._folders if name.startswith(prefix))
        return sorted(name for name in inside if name and "/" not in name)

    def read(self, name: str) -> bytes:
        """Bytes of one file. Raises :exc:`DataError` where there is none."""
        if name not in self._places:
            raise DataError(
                f"{shown(self.path)}/{shown(name)}: the file must exist; the archive has none of "
                "that name; get the data set again"
            )
        offset, size = self._places[name]
        with self.path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
        if len(data) < size:
            raise DataError(
                f"{shown(self.path)}/{shown(name)}: must have {size} bytes; {len(data)} are left "
                "of it; get the archive again"
            )
        return data


Tree = FolderTree | TarTree


def open_tree(path: Path | str) -> Tree:
    """The tree at ``path``, a folder or an archive."""
    return TarTree(path) if is_archive(path) else FolderTree(path)


def is_archive(path: Path | str) -> bool:
    """Whether the path names a tar archive, by its suffix."""
    return str(path).endswith(SUFFIX)
