# SPDX-License-Identifier: Apache-2.0
"""Reading ``.npy`` and ``.npz`` files that somebody else wrote.

Nothing is unpickled, and no memory is taken because a header asks for it: the size that a header
states is compared with the bytes that are there before an array is made, and an archive that
unpacks to hundreds of times its own size is refused.
"""

import io
import math
import zipfile
from pathlib import Path
from typing import IO, Any

from numpy.lib import format as npy
from numpy.typing import NDArray

from stemcore.files import open_file

MAGIC = b"\x93NUMPY"
_SUFFIX = ".npy"
_KINDS = "biufcUS"  # of numbers and text; all others are objects, records or times
# Deflate reaches a ratio of 1032. What is larger than this and shrinks better holds nothing but
# repetition; arrays of networks, programs and images stay far below.
BOMB_BYTES, BOMB_RATIO = 64 << 20, 250


def read_arrays(source: Path | str | bytes) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """The array of a ``.npy`` file, or all arrays of a ``.npz`` file by name.

    source : path, or the bytes of the file

    Raises ``OSError`` where a path cannot be read, and ``ValueError`` with the reason for whatever
    else is no such file.
    """
    try:
        file: IO[bytes]
        with io.BytesIO(source) if isinstance(source, bytes) else open_file(source) as file:
            if file.read(len(MAGIC)) == MAGIC:
                return _read_array(file, "the array")
            with zipfile.ZipFile(file) as archive:
                return {
                    name.removesuffix(_SUFFIX): _read_array(io.BytesIO(data), name)
                    for name, data in members(archive).items()
                }
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(str(error)) from error
    except ValueError:
        raise
    except Exception as error:  # of any kind: the file may hold anything
        raise ValueError(f"{type(error).__name__}: {error}") from error


def members(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Contents of all entries of an archive; ``ValueError`` for one that is made to fill memory,
    and for names that come twice."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise ValueError("every name must be there once, some are twice")
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if unpacked > BOMB_BYTES and unpacked > BOMB_RATIO * packed:
        raise ValueError(f"{packed} bytes must not unpack to more than {BOMB_RATIO} times as many")
    return {entry.filename: archive.read(entry) for entry in entries}


def _read_array(file: IO[bytes], name: str) -> NDArray[Any]:
    """The array in a file of which the header's claims hold."""
    file.seek(0)
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"{name}: version {version[0]}.{version[1]} of the format is unknown")
    # Version 3 differs from 2 in its letters alone, which numbers do without.
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject or dtype.kind not in _KINDS:
        raise ValueError(f"{name}: must hold numbers or text, holds {dtype}")
    start = file.tell()
    there = file.seek(0, io.SEEK_END) - start
    claimed = math.prod(shape) * dtype.itemsize
    if any(size < 0 for size in shape) or claimed != there:
        raise ValueError(f"{name}: {dtype} {shape} takes {claimed} bytes, {there} are there")
    file.seek(0)
    array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return array
