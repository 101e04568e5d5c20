# SPDX-License-Identifier: Apache-2.0
"""``manifest.json``: what a folder with a compilation says of itself, and the hashes in it.

The file holds ``format``, ``version``, ``compilation`` and ``sha256`` of the compact, key-sorted
JSON of ``compilation``, which has

``versions``, ``source``
    Of the packages that compiled, and a hash of the compiler's own files.
``options``
    :class:`stemcore.compiler.stages.Options`, as :mod:`stemcore.compiler.records` writes it.
``inputs``
    Per input its ``file``, the file's ``sha256`` and a ``digest`` of the array. The live model is
    not kept: the captured graph takes its place.
``stages``
    Per stage its ``file``, the ``sha256`` of it, and a ``key``: a hash of everything that the
    result depends on, empty for ``capture``, which depends on a live model.
"""

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import stemcore.golden
from stemcore.files import read_file, write_whole
from stemcore.golden.program.program_file import DESCRIPTION_FILE, MEMORIES_FILE

from .errors import FormatError
from .pipeline import STAGES
from .records import from_plain, to_plain
from .stages import Options

FORMAT = "stemcore compilation"
# 2: options have the input's map, quantized networks the input's sign; 3: options have weight bits
# and a calibration method
VERSION = 3
MANIFEST = "manifest.json"
KEPT_INPUTS = ("calibration", "activity_images")
REMEDY = "compile the network again"


@dataclass(frozen=True)
class Entry:
    """A result in the folder."""

    key: str
    file: str
    sha256: str


@dataclass(frozen=True)
class InputEntry:
    """An input in the folder."""

    file: str
    sha256: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says of a folder."""

    options: Options
    inputs: Mapping[str, InputEntry]
    stages: Mapping[str, Entry]
    source: str
    versions: Mapping[str, str]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes ``manifest.json``, whole or not at all."""
    body = {
        "versions": dict(manifest.versions),
        "source": manifest.source,
        "options": plain_json(manifest.options),
        "inputs": {name: asdict(entry) for name, entry in manifest.inputs.items()},
        "stages": {name: asdict(entry) for name, entry in manifest.stages.items()},
    }
    document = {
        "format": FORMAT,
        "version": VERSION,
        "sha256": hashlib.sha256(compact(body)).hexdigest(),
        "compilation": body,
    }
    write_whole(folder / MANIFEST, json.dumps(document, indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """What ``manifest.json`` says; ``FormatError`` where it is missing, damaged or foreign."""
    path = folder / MANIFEST
    try:
        document = json.loads(read_file(path))
    except OSError as error:
        raise FormatError(
            str(path),
            f"must be the manifest of a compilation, got: {error.strerror}",
            "name a folder that 'save' wrote",
        ) from error
    except (ValueError, RecursionError) as error:
        raise FormatError(str(path), f"must be JSON: {error}", REMEDY) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise FormatError(
            str(path), f"format must be {FORMAT!r}, got {found!r}", "name another folder"
        )
    if document.get("version") != VERSION:
        raise FormatError(
            str(path), f"version must be {VERSION}, got {document.get('version')!r}", REMEDY
        )
    body: Any = document.get("compilation")
    if hashlib.sha256(compact(body)).hexdigest() != document.get("sha256"):
        raise FormatError(str(path), "must match its checksum, does not", REMEDY)
    try:
        return _manifest(body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FormatError(str(path), f"must describe a compilation: {error}", REMEDY) from error


def _manifest(body: Mapping[str, Any]) -> Manifest:
    stages, inputs = body["stages"], body["inputs"]
    for what, names, known in (("stage", stages, STAGES), ("input", inputs, KEPT_INPUTS)):
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise ValueError(f"a {what} must be one of {', '.join(known)}, got {unknown[0]}")
    entries = {name: _entry(Entry, stages[name]) for name in STAGES if name in stages}
    if list(entries) != list(STAGES[: len(entries)]):
        raise ValueError(f"stages must begin with the first and have no gaps, are {list(entries)}")
    return Manifest(
        from_plain(Options, body["options"], {}, "options"),
        {name: _entry(InputEntry, inputs[name]) for name in KEPT_INPUTS if name in inputs},
        entries,
        _text(body["source"]),
        {_text(name): _text(version) for name, version in body["versions"].items()},
    )


def _entry(kind: Any, plain: Any) -> Any:
    names = [f.name for f in fields(kind)]
    if not isinstance(plain, dict) or sorted(plain) != sorted(names):
        raise ValueError(f"an entry must have {', '.join(names)}, got {plain}")
    entry = kind(**{name: _text(plain[name]) for name in names})
    parts = PurePosixPath(entry.file).parts
    if not parts or ".." in parts or PurePosixPath(entry.file).is_absolute() or "\\" in entry.file:
        raise ValueError(f"a file must lie in the folder, got {entry.file!r}")
    return entry


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a string, got {value!r}")
    return value


def file_sha256(path: Path) -> str | None:
    """Hash of a file, or of a program by its description; None where it is not there.

    A program's description has the hash of its memories, which have to match it.
    """
    try:
        data = read_file(path)
        if path.name == DESCRIPTION_FILE:
            memories = read_file(path.parent / MEMORIES_FILE)
            wanted = json.loads(data)["memories_sha256"]
            if hashlib.sha256(memories).hexdigest() != wanted:
                return ""
    except OSError:
        return None
    except (ValueError, KeyError, TypeError):
        return ""
    return hashlib.sha256(data).hexdigest()


@cache
def source_digest() -> str:
    """Hash of all files that make results what they are: compiler and golden, recursively."""
    digest = hashlib.sha256()
    for room in (Path(__file__).parent, Path(str(stemcore.golden.__file__)).parent):
        for path in sorted(room.rglob("*.py")):
            digest.update(f"{room.name}/{path.relative_to(room).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@cache
def versions() -> dict[str, str]:
    """Of what results may depend on beside the compiler's own files."""
    found = {"python": platform.python_version()}
    for name in ("stemcore", "numpy", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def plain_json(value: Any) -> Any:
    """``value``, which has no arrays, as JSON."""
    return to_plain(value, {})


def compact(body: Any) -> bytes:
    """JSON of which there is one form alone, for hashes."""
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
