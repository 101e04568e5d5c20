# SPDX-License-Identifier: Apache-2.0
"""Intermediate results on disk: a zip of numpy arrays and one JSON text, nothing executable.

The text holds ``format``, ``version``, ``kind`` and ``content``; the arrays lie beside it as numpy
writes them. What becomes of frozen dataclasses in it says :mod:`stemcore.compiler.records`.
"""

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.files import open_file, write_whole
from stemcore.numpy_files import members, read_arrays

from .errors import FormatError

FORMAT = "stemcore archive"
VERSION = 1
_JSON = "content.json"
_ARRAY = ".npy"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # no file knows when it was written: same contents, same bytes
_DEFLATE_LEVEL = 1  # higher levels take three times as long for a few percent
_DAMAGES = (
    OSError,
    EOFError,
    MemoryError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


def archive_bytes(kind: str, content: Any, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """An archive of ``content`` (plain JSON) and ``arrays``; same contents, same bytes."""
    document = {"format": FORMAT, "version": VERSION, "kind": kind, "content": content}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        _add(archive, _JSON, json.dumps(document, separators=(",", ":")).encode())
        for name, array in arrays.items():
            if array.dtype.hasobject:
                raise TypeError(f"archive: array {name!r} must hold numbers, holds objects")
            data = io.BytesIO()
            np.lib.format.write_array(data, np.asarray(array), allow_pickle=False)
            _add(archive, name + _ARRAY, data.getbuffer(), _method(array))
    return stream.getvalue()


def _method(array: NDArray[Any]) -> int:
    """Integers shrink; the digits of real numbers do not."""
    return zipfile.ZIP_STORED if array.dtype.kind == "f" else zipfile.ZIP_DEFLATED


def _add(
    archive: zipfile.ZipFile, name: str, data: Any, method: int = zipfile.ZIP_DEFLATED
) -> None:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    archive.writestr(entry, data, method, _DEFLATE_LEVEL)


def write_archive(
    path: Path | str, kind: str, content: Any, arrays: Mapping[str, NDArray[Any]]
) -> str:
    """Writes an archive whole or not at all, making folders as needed; returns its SHA-256."""
    return write_hashed(Path(path), archive_bytes(kind, content, arrays))


def write_hashed(path: Path, data: bytes) -> str:
    """Writes a file whole or not at all, making folders as needed; returns its SHA-256."""
    write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def read_archive(path: Path | str, kind: str) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Content and arrays of an archive of this kind; ``FormatError`` for any other file."""
    where, remedy = str(path), "compile the network again"
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            # Read whole: only then the checksums of the zip's entries are compared.
            parts = members(archive)
        document = json.loads(parts.pop(_JSON))
        found = document["format"], document["version"], document["kind"]
        content = document["content"]
        arrays = {name.removesuffix(_ARRAY): _array(data) for name, data in parts.items()}
    except _DAMAGES as error:
        reason = f"{type(error).__name__}: {error}"
        raise FormatError(where, f"must be an archive of a {kind}; {reason}", remedy) from error
    if found[0] != FORMAT or found[1] != VERSION:
        raise FormatError(
            where,
            f"must be of the format {FORMAT!r}, version {VERSION}; is {found[0]!r}, {found[1]!r}",
            remedy,
        )
    if found[2] != kind:
        raise FormatError(where, f"must hold a {kind}, holds a {found[2]}", "name another file")
    return content, arrays


def _array(data: bytes) -> NDArray[Any]:
    array = read_arrays(data)
    if isinstance(array, dict):
        raise ValueError("an array must be one, is an archive")
    return array
