# SPDX-License-Identifier: Apache-2.0
"""Compilations and arrays as the bytes that units share; the same content, the same bytes."""

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.pipeline import Compilation
from stemcore.compiler.saved import load_compilation, save_compilation
from stemcore.numpy_files import read_arrays

from .units import blob_hash

_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def pack_compilation(compilation: Compilation) -> bytes:
    """The folder of a compilation as one archive."""
    stream = io.BytesIO()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_compilation(compilation, folder)
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _ZIP_DATE)
                archive.writestr(info, path.read_bytes())
    return stream.getvalue()


_kept: dict[str, Compilation] = {}  # by the hash of its archive, the last one alone


def unpack_compilation(blob: bytes) -> Compilation:
    """The compilation in an archive, checked by its own hashes; the last one stays in memory."""
    key = blob_hash(blob)
    if key not in _kept:
        _kept.clear()
        with tempfile.TemporaryDirectory() as name:
            with zipfile.ZipFile(io.BytesIO(blob)) as archive:
                archive.extractall(name)
            compilation = load_compilation(name)
            # Results are read when they are asked for: now, while the files are there.
            for stage in compilation.results:
                compilation.result(stage)
        _kept[key] = compilation
    return _kept[key]


def pack_images(images: NDArray[np.integer]) -> bytes:
    """Integers (N, C, H, W) that cores receive: signed or unsigned bytes."""
    stream = io.BytesIO()
    np.save(stream, images.astype(np.int16))
    return stream.getvalue()


def unpack_images(blob: bytes) -> NDArray[Any]:
    """The inverse of :func:`pack_images`, int64."""
    images = read_arrays(blob)
    assert isinstance(images, np.ndarray)
    return images.astype(np.int64)
