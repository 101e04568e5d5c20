# SPDX-License-Identifier: Apache-2.0
"""A compilation in a folder: one archive a stage, and a manifest that describes them.

``manifest.json`` holds ``format``, ``version``, ``compilation`` and ``sha256`` of the compact,
key-sorted JSON of ``compilation``, which has

``versions``, ``source``
    Of the packages that compiled, and a hash of the compiler's own files.
``options``
    :class:`stemcore.compiler.stages.Options`, as :mod:`stemcore.compiler.records` writes it.
``inputs``
    Per input its ``file``, the file's ``sha256`` and a ``digest`` of the array. The live model is
    not kept: the captured graph takes its place.
``stages``
    Per stage its ``file``, the ``sha256`` of it, and a ``key``: a hash of everything that the
    result depends on. Stages with equal results share a file. The program of ``assemble`` is the
    folder that :mod:`stemcore.golden.program.program_file` writes.

Nothing in the folder is executable. A :class:`CompileFolder` is also the store from which
:func:`stemcore.compiler.pipeline.run_stages` takes results whose key is the same.
"""

import hashlib
import importlib.metadata
import json
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stemcore.golden
from stemcore.golden.program.program_file import (
    DESCRIPTION_FILE,
    MEMORIES_FILE,
    load_program,
    save_program,
)

from .archive import write_whole
from .errors import FormatError
from .pipeline import (
    PIPELINE,
    STAGES,
    Compilation,
    Lazy,
    Stage,
    check_result,
    reads_of,
)
from .records import from_plain, load_record, record_bytes, to_plain
from .stages import Inputs, Options

FORMAT = "stemcore compilation"
VERSION = 1
MANIFEST = "manifest.json"
PROGRAM = "program"
KEPT_INPUTS = ("calibration", "activity_images")
REMEDY = "compile the network again"
_IMAGES = NDArray[np.integer]


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


def load_compilation(folder: Path | str) -> Compilation:
    """The compilation in ``folder``, with all its results; they are read when asked for.

    Raises
    ------
    FormatError
        Where the folder has no manifest, one that is damaged or foreign, or files that do not match
        it.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    wanted = {e.file: e.sha256 for e in manifest.stages.values()}
    wanted |= {e.file: e.sha256 for e in manifest.inputs.values()}
    for file, sha256 in wanted.items():
        found = file_sha256(folder / file)
        if found != sha256:
            problem = "is missing" if found is None else "does not"
            raise FormatError(
                str(folder / file), f"must match its hash in {MANIFEST}, {problem}", REMEDY
            )
    inputs = Inputs(
        **{
            name: load_record(folder / entry.file, "images", _IMAGES)
            for name, entry in manifest.inputs.items()
        }
    )
    return Compilation(manifest.options, inputs, _lazy_results(folder, manifest, inputs))


def _lazy_results(folder: Path, manifest: Manifest, inputs: Inputs) -> dict[str, Lazy]:
    results: dict[str, Lazy] = {}
    compilation = Compilation(manifest.options, inputs, results)
    for stage in PIPELINE:
        if stage.name in manifest.stages:
            path = folder / manifest.stages[stage.name].file
            results[stage.name] = Lazy(_loader(stage, path, compilation))
    return results


def _loader(stage: Stage, path: Path, compilation: Compilation) -> Callable[[], Any]:
    return lambda: _load(stage, path, compilation)


def _load(stage: Stage, path: Path, compilation: Compilation) -> Any:
    def check(result: Any) -> None:
        check_result(stage, result, compilation)

    if path.name != DESCRIPTION_FILE:
        return load_record(path, stage.kind, stage.result, check)
    try:
        program = load_program(path.parent)
        check(program)
    except ValueError as error:
        raise FormatError(str(path), f"must be a program: {error}", REMEDY) from error
    return program


def save_compilation(compilation: Compilation, folder: Path | str) -> None:
    """Writes every result that ``compilation`` has into ``folder``, made if need be.

    What is there already and equal stays; same compilation, same bytes. :func:`load_compilation` is
    the inverse, but for the live model.
    """
    store = CompileFolder(folder)
    for stage in PIPELINE:
        if stage.name in compilation.results:
            store.keep(stage, compilation)


class CompileFolder:
    """A folder as the store of :func:`stemcore.compiler.pipeline.run_stages`.

    Parameters
    ----------
    path
        Where results are kept, and looked for first. Made at the first result. A folder that is
        damaged, or of another version, is taken for empty; one with files of something else is
        refused.
    look_in : folders
        Compilations of other options, of which the first stages may be the same.

    Attributes
    ----------
    reused : dict
        Stages whose results were found, with the folder they were found in.
    """

    def __init__(self, path: Path | str, look_in: Iterable[Path] = ()) -> None:
        self.path = Path(path)
        _refuse_foreign(self.path)
        self.reused: dict[str, Path] = {}
        self._known = [
            (folder, manifest)
            for folder in (self.path, *look_in)
            if (manifest := _manifest_or_none(folder)) is not None
        ]
        self._entries: dict[str, Entry] = {}
        self._inputs: dict[str, InputEntry] = {}
        self._digests: dict[int, tuple[Any, str]] = {}

    def find(self, stage: Stage, compilation: Compilation) -> Lazy | None:
        """The result for the same key; copied into this folder where another one has it."""
        key = self._key(stage, compilation)
        if key is None:
            return None
        for folder, manifest in self._known:
            entry = manifest.stages.get(stage.name)
            if entry is None or entry.key != key:
                continue
            if file_sha256(folder / entry.file) != entry.sha256:
                continue
            if folder != self.path:
                _copy(folder, self.path, entry.file)
            self._add(stage, compilation, entry)
            self.reused[stage.name] = folder
            return Lazy(_loader(stage, self.path / entry.file, compilation))
        return None

    def keep(self, stage: Stage, compilation: Compilation) -> None:
        """Writes the result that ``compilation`` has of the stage, unless it is there."""
        if stage.name in self._entries:
            return
        key = self._key(stage, compilation)
        result = compilation.result(stage.name)
        if stage.name == STAGES[-1]:
            file = f"{PROGRAM}/{DESCRIPTION_FILE}"
            save_program(result, self.path / PROGRAM)
            sha256 = file_sha256(self.path / file)
        else:
            file = f"{stage.name}.npz"
            data = record_bytes(stage.kind, result)
            sha256 = hashlib.sha256(data).hexdigest()
            same = [e.file for e in self._entries.values() if e.sha256 == sha256]
            if same:
                file = same[0]
            elif file_sha256(self.path / file) != sha256:
                write_whole(self.path / file, data)
        assert sha256 is not None
        self._add(stage, compilation, Entry(key or "", file, sha256))

    def _add(self, stage: Stage, compilation: Compilation, entry: Entry) -> None:
        self._entries[stage.name] = entry
        for name in KEPT_INPUTS:
            array = getattr(compilation.inputs, name)
            if array is not None and name not in self._inputs:
                self._keep_input(name, array)
        manifest = Manifest(
            compilation.options, self._inputs, self._entries, source_digest(), versions()
        )
        write_manifest(self.path, manifest)

    def _keep_input(self, name: str, array: NDArray[Any]) -> None:
        digest, file = self._digest(array), f"{name}.npz"
        before = [m.inputs[name] for f, m in self._known if f == self.path and name in m.inputs]
        for entry in before:
            is_same = entry.digest == digest
            if is_same and file_sha256(self.path / entry.file) == entry.sha256:
                self._inputs[name] = entry
                return
        sha256 = write_whole(self.path / file, record_bytes("images", array))
        self._inputs[name] = InputEntry(file, sha256, digest)

    def _key(self, stage: Stage, compilation: Compilation) -> str | None:
        """Hash of all that the stage's result depends on; None where that is not known.

        A live model has no hash: what its Python code computes shows in the captured graph alone,
        so ``capture`` always runs, and the rest depends on the graph.
        """
        reads = reads_of(stage)
        if "module" in reads.inputs:
            return None
        document = {
            "stage": stage.name,
            "source": source_digest(),
            "versions": versions(),
            "options": {n: _plain(getattr(compilation.options, n)) for n in reads.options},
            "inputs": {
                name: None if array is None else self._digest(array)
                for name in reads.inputs
                for array in (getattr(compilation.inputs, name),)
            },
            "results": {name: self._entries[name].sha256 for name in reads.results},
        }
        return hashlib.sha256(_compact(document)).hexdigest()

    def _digest(self, array: NDArray[Any]) -> str:
        if id(array) not in self._digests:
            head = f"{array.dtype.str} {array.shape} ".encode()
            data = np.ascontiguousarray(array)
            # The array is held, so that no other one gets its id.
            self._digests[id(array)] = array, hashlib.sha256(head + data.tobytes()).hexdigest()
        return self._digests[id(array)][1]


# Manifest ---------------------------------------------------------------------------------------
def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes ``manifest.json``, whole or not at all."""
    body = {
        "versions": dict(manifest.versions),
        "source": manifest.source,
        "options": _plain(manifest.options),
        "inputs": {name: asdict(entry) for name, entry in manifest.inputs.items()},
        "stages": {name: asdict(entry) for name, entry in manifest.stages.items()},
    }
    document = {
        "format": FORMAT,
        "version": VERSION,
        "sha256": hashlib.sha256(_compact(body)).hexdigest(),
        "compilation": body,
    }
    write_whole(folder / MANIFEST, (json.dumps(document, indent=1) + "\n").encode())


def read_manifest(folder: Path) -> Manifest:
    """What ``manifest.json`` says; ``FormatError`` where it is missing, damaged or foreign."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
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
    if hashlib.sha256(_compact(body)).hexdigest() != document.get("sha256"):
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


def _manifest_or_none(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except FormatError:
        return None


def _refuse_foreign(folder: Path) -> None:
    """Nothing of others is written over: a folder is new, empty, or one of ours."""
    if folder.exists() and not folder.is_dir():
        raise FormatError(str(folder), "must be a folder, is a file", "name another folder")
    if not folder.is_dir() or (folder / MANIFEST).is_file():
        return
    ours = {MANIFEST, PROGRAM, *(f"{name}.npz" for name in (*STAGES, *KEPT_INPUTS))}
    others = [p.name for p in folder.iterdir() if p.name.removesuffix(".part") not in ours]
    if others:
        raise FormatError(
            str(folder),
            f"must be new, empty, or a compilation; holds {sorted(others)[0]!r}",
            "name another folder",
        )


# Hashes -----------------------------------------------------------------------------------------
def file_sha256(path: Path) -> str | None:
    """Hash of a file, or of a program by its description; None where it is not there.

    A program's description has the hash of its memories, which have to match it.
    """
    try:
        data = path.read_bytes()
        if path.name == DESCRIPTION_FILE:
            memories = (path.parent / MEMORIES_FILE).read_bytes()
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


def _plain(value: Any) -> Any:
    return to_plain(value, {})


def _compact(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _copy(source: Path, target: Path, file: str) -> None:
    names = [file]
    if PurePosixPath(file).name == DESCRIPTION_FILE:
        # The description comes last: a program with one that matches is complete.
        names = [str(PurePosixPath(file).with_name(MEMORIES_FILE)), file]
    for name in names:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".part")
        shutil.copyfile(source / name, unfinished)
        unfinished.replace(path)
