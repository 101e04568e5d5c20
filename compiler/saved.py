# SPDX-License-Identifier: Apache-2.0
"""A compilation in a folder: one archive a stage, and a manifest that describes them.

``capture.npz``, ``check.npz`` and so on are :mod:`stemcore.compiler.records`; stages with equal
results share a file. ``program/`` is what :mod:`stemcore.golden.program.program_file` writes.
:mod:`stemcore.compiler.manifest` says what ``manifest.json`` holds. Nothing is executable.

A :class:`CompileFolder` is also the store from which
:func:`stemcore.compiler.pipeline.run_stages` takes results that nothing has changed.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.files import UNFINISHED, written_whole
from stemcore.golden.program.program_file import (
    DESCRIPTION_FILE,
    MEMORIES_FILE,
    load_program,
    save_program,
)

from .archive import write_hashed
from .errors import FormatError
from .manifest import (
    KEPT_INPUTS,
    MANIFEST,
    REMEDY,
    Entry,
    InputEntry,
    Manifest,
    compact,
    file_sha256,
    plain_json,
    read_manifest,
    source_digest,
    versions,
    write_manifest,
)
from .pipeline import PIPELINE, STAGES, Compilation, Lazy, Stage, check_result, reads_of
from .records import load_record, record_bytes
from .stages import Inputs

PROGRAM = "program"
_IMAGES = NDArray[np.integer]


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
        self._before = next((m for folder, m in self._known if folder == self.path), None)
        self._entries: dict[str, Entry] = {}
        self._inputs: dict[str, InputEntry] = {}
        self._digests: dict[int, tuple[Any, str]] = {}
        self._hashes: dict[str, str | None] = {}  # of this folder's files

    def find(self, stage: Stage, compilation: Compilation) -> Lazy | None:
        """The result for the same key; copied into this folder where another one has it."""
        key = self._key(stage, compilation, self._entries)
        if key is None:
            return None
        for folder, manifest in self._known:
            entry = manifest.stages.get(stage.name)
            if entry is None or entry.key != key:
                continue
            if file_sha256(folder / entry.file) != entry.sha256:
                continue
            file = self._place(stage, entry.sha256)
            if self._hash(file) != entry.sha256:
                _copy(folder / entry.file, self.path / file)
                self._hashes.pop(file, None)
            self._add(stage, compilation, Entry(key, file, entry.sha256))
            self.reused[stage.name] = folder
            return Lazy(_loader(stage, self.path / file, compilation))
        return None

    def keep(self, stage: Stage, compilation: Compilation) -> None:
        """Writes the result that ``compilation`` has of the stage, unless it is there."""
        if stage.name in self._entries:
            return
        key = self._key(stage, compilation, self._entries)
        result = compilation.result(stage.name)
        if stage.name == STAGES[-1]:
            file = self._place(stage, "")
            save_program(result, self.path / PROGRAM)
            self._hashes.pop(file, None)
            sha256 = self._hash(file)
            assert sha256 is not None
        else:
            data = record_bytes(stage.kind, result)
            sha256 = hashlib.sha256(data).hexdigest()
            file = self._place(stage, sha256)
            if self._hash(file) != sha256:
                write_hashed(self.path / file, data)
                self._hashes.pop(file, None)
        self._add(stage, compilation, Entry(key or "", file, sha256))

    def _place(self, stage: Stage, sha256: str) -> str:
        """File for a result; that of an earlier stage with the same one, if there is any."""
        if stage.name == STAGES[-1]:
            return f"{PROGRAM}/{DESCRIPTION_FILE}"
        same = [entry.file for entry in self._entries.values() if entry.sha256 == sha256]
        return same[0] if same else f"{stage.name}.npz"

    def _hash(self, file: str) -> str | None:
        """:func:`file_sha256` of a file in this folder, computed once."""
        if file not in self._hashes:
            self._hashes[file] = file_sha256(self.path / file)
        return self._hashes[file]

    def _add(self, stage: Stage, compilation: Compilation, entry: Entry) -> None:
        self._entries[stage.name] = entry
        for name in KEPT_INPUTS:
            array = getattr(compilation.inputs, name)
            if array is not None and name not in self._inputs:
                self._keep_input(name, array)
        entries = self._entries | self._still_valid(compilation)
        manifest = Manifest(compilation.options, self._inputs, entries, source_digest(), versions())
        write_manifest(self.path, manifest)

    def _still_valid(self, compilation: Compilation) -> dict[str, Entry]:
        """Later results that lie here from before and have the keys that they would get now.

        Whoever stops early does not take them from the next one who goes on.
        """
        found: dict[str, Entry] = {}
        for stage in PIPELINE[len(self._entries) :]:
            entry = None if self._before is None else self._before.stages.get(stage.name)
            if entry is None or self._hash(entry.file) != entry.sha256:
                break
            if self._key(stage, compilation, self._entries | found) != entry.key:
                break
            found[stage.name] = entry
        return found

    def _keep_input(self, name: str, array: NDArray[Any]) -> None:
        digest, file = self._digest(array), f"{name}.npz"
        before = None if self._before is None else self._before.inputs.get(name)
        is_same = before is not None and before.digest == digest
        if before is not None and is_same and self._hash(before.file) == before.sha256:
            self._inputs[name] = before
            return
        sha256 = write_hashed(self.path / file, record_bytes("images", array))
        self._inputs[name] = InputEntry(file, sha256, digest)

    def _key(self, stage: Stage, compilation: Compilation, entries: dict[str, Entry]) -> str | None:
        """Hash of all that the stage's result depends on, given the results before it; None where
        that is not known.

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
            "options": {n: plain_json(getattr(compilation.options, n)) for n in reads.options},
            "inputs": {
                name: None if array is None else self._digest(array)
                for name in reads.inputs
                for array in (getattr(compilation.inputs, name),)
            },
            "results": {name: entries[name].sha256 for name in reads.results},
        }
        return hashlib.sha256(compact(document)).hexdigest()

    def _digest(self, array: NDArray[Any]) -> str:
        if id(array) not in self._digests:
            head = f"{array.dtype.str} {array.shape} ".encode()
            data = np.ascontiguousarray(array)
            # The array is held, so that no other one gets its id.
            self._digests[id(array)] = array, hashlib.sha256(head + data.tobytes()).hexdigest()
        return self._digests[id(array)][1]


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
    names = [path.name for path in folder.iterdir()]
    others = [name for name in names if name not in ours and not name.startswith(UNFINISHED)]
    if others:
        raise FormatError(
            str(folder),
            f"must be new, empty, or a compilation; holds {sorted(others)[0]!r}",
            "name another folder",
        )


def _copy(source: Path, target: Path) -> None:
    """A file; of a program the memories first: one whose description matches is complete."""
    names = [source.name]
    if source.name == DESCRIPTION_FILE:
        names = [MEMORIES_FILE, DESCRIPTION_FILE]
    for name in names:
        path = target.with_name(name) if len(names) > 1 else target
        with written_whole(path) as aside:
            shutil.copyfile(source.with_name(name), aside)
