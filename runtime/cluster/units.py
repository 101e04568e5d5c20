# SPDX-License-Identifier: Apache-2.0
"""A unit of work, and the key that tells whether its result is there already."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from stemcore.compiler.manifest import versions

Blobs = Mapping[str, bytes]
Function = Callable[[Mapping[str, Any], Blobs], Any]

# Rooms whose files make results what they are, and what is read there beside Python.
_ROOMS = ("golden", "hdl", "compiler", "models", "runtime")
_PATTERNS = ("*.py", "*.cpp", "*.h")


@dataclass(frozen=True)
class Unit:
    """One call of a function, which a worker may make more than once: it has no other effect.

    Attributes
    ----------
    name : str
        What people read of it.
    function : callable
        Of a module, so that a worker finds it by its name. Gets ``arguments`` and ``blobs``, and
        returns what JSON can hold.
    arguments : mapping
        What JSON can hold.
    blobs : mapping of bytes
        What is too large for arguments, such as a program; units may share them.
    """

    name: str
    function: Function
    arguments: Mapping[str, Any]
    blobs: Blobs = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Hash of all that the result depends on: function, arguments, blobs, source, versions."""
        function = f"{self.function.__module__}:{self.function.__qualname__}"
        blobs = {name: blob_hash(blob) for name, blob in self.blobs.items()}
        parts = [function, dict(self.arguments), blobs, source_digest(), versions()]
        return hashlib.sha256(plain_bytes(parts)).hexdigest()


@lru_cache(maxsize=16)  # bytes that many units share are hashed once
def blob_hash(blob: bytes) -> str:
    """SHA-256 of bytes that units share."""
    return hashlib.sha256(blob).hexdigest()


def plain_bytes(value: Any) -> bytes:
    """JSON of which there is one form alone. ``ValueError`` for what JSON has no number for."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


@cache
def source_digest() -> str:
    """Hash of this project's own files, equal on all machines that have the same ones."""
    root = Path(__file__).parents[2]  # rooms lie side by side, also where they are installed
    digest = hashlib.sha256()
    for room in _ROOMS:
        folder = root / room
        for path in sorted(path for pattern in _PATTERNS for path in folder.rglob(pattern)):
            digest.update(f"{room}/{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def call(unit_function: Function, arguments: Mapping[str, Any], blobs: Blobs, source: str) -> Any:
    """What a worker does. ``ValueError`` where its files are not those of whoever asks."""
    if source != source_digest():
        raise ValueError(
            "CLUSTER: all workers must have the files of the stemcore that sends them work; a "
            f"worker with {source_digest()[:12]} got work of {source[:12]}; install the same "
            "version there and start the workers again"
        )
    return unit_function(arguments, blobs)
