# SPDX-License-Identifier: Apache-2.0
"""Read-only trees of files: a folder, or an uncompressed tar archive that is never unpacked."""

import tarfile
from pathlib import Path

from ..errors import DataError

SUFFIX = ".tar"


class FolderTree:
    """Files below a folder. Names are relative, with ``/`` between their parts."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def names(self, below: str = "") -> list[str]:
        """Sorted names of all files below a part of the tree."""
        return sorted(
            path.relative_to(self.path).as_posix()
            for path in (self.path / below).rglob("*")
            if path.is_file()
        )

    def read(self, name: str) -> bytes:
        """Bytes of one file. Raises :exc:`DataError` where there is none."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise DataError(
                f"{self.path}/{name}: the file must exist and be readable; "
                f"{error.strerror} came; get the data set again"
            ) from error


class TarTree:
    """The same view of a tar archive; links and devices in it are not seen."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            with tarfile.open(path, "r:") as archive:
                self._places = {
                    member.name.removeprefix("./"): (member.offset_data, member.size)
                    for member in archive
                    if member.isreg() and not member.sparse
                }
        except (tarfile.TarError, OSError, EOFError) as error:
            raise DataError(
                f"{path}: must be a tar archive; reading it gave {error}; get the file again"
            ) from error

    def names(self, below: str = "") -> list[str]:
        """Sorted names of all files below a part of the archive."""
        prefix = below.rstrip("/") + "/" if below else ""
        return sorted(name for name in self._places if name.startswith(prefix))

    def read(self, name: str) -> bytes:
        """Bytes of one file. Raises :exc:`DataError` where there is none."""
        if name not in self._places:
            raise DataError(
                f"{self.path}/{name}: the file must exist; the archive has none of "
                "that name; get the data set again"
            )
        offset, size = self._places[name]
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


def open_tree(path: Path | str) -> FolderTree | TarTree:
    """The tree at ``path``, a folder or an archive."""
    return TarTree(path) if is_archive(path) else FolderTree(path)


def is_archive(path: Path | str) -> bool:
    """Whether the path names a tar archive, by its suffix."""
    return str(path).endswith(SUFFIX)
