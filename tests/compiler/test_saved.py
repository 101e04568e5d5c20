# SPDX-License-Identifier: Apache-2.0
"""Compilations in folders: whole, reloadable, found again where nothing changed, never stale."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from stemcore.compiler import manifest, saved
from stemcore.compiler.errors import FormatError
from stemcore.compiler.manifest import read_manifest
from stemcore.compiler.pipeline import STAGES, Compilation, run_stages
from stemcore.compiler.saved import (
    CompileFolder,
    load_compilation,
    save_compilation,
)
from stemcore.compiler.stages import Inputs, Options
from stemcore.golden.spec.presets import get_preset
from tests.support.torch_nets import chain

TINY = get_preset("tiny")
ALL_BUT_CAPTURE = list(STAGES[1:])


def network():
    return chain(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).eval()


@pytest.fixture(scope="module")
def begin():
    torch.manual_seed(7)
    rng = np.random.default_rng(6)
    images = rng.integers(-127, 128, (16, 1, 6, 6)).astype(np.int8)
    return Compilation(Options(input_shape=(1, 6, 6), params=TINY), Inputs(network(), images))


@pytest.fixture(scope="module")
def done(begin):
    return run_stages(begin)


@pytest.fixture
def folder(done, tmp_path):
    save_compilation(done, tmp_path / "net")
    return tmp_path / "net"


def files(folder):
    """Contents of all files below a folder, by name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.medium
def test_loaded_and_saved_again_it_is_the_same(folder, done, tmp_path):
    loaded = load_compilation(folder)
    assert loaded.options == done.options
    np.testing.assert_array_equal(loaded.inputs.calibration, done.inputs.calibration)
    assert loaded.inputs.module is None
    save_compilation(loaded, tmp_path / "again")
    assert files(tmp_path / "again") == files(folder)
    save_compilation(done, folder)
    assert files(tmp_path / "again") == files(folder)


@pytest.mark.medium
@pytest.mark.parametrize("name", STAGES[1:])
def test_a_loaded_compilation_starts_anywhere(name, folder, tmp_path):
    again = run_stages(load_compilation(folder), start=name)
    save_compilation(again, tmp_path / "again")
    assert files(tmp_path / "again") == files(folder)


@pytest.mark.medium
@pytest.mark.parametrize("name", STAGES)
def test_a_stopped_compilation_is_saved_and_goes_on(name, begin, done, folder, tmp_path):
    save_compilation(run_stages(begin, stop=name), tmp_path / "half")
    half = load_compilation(tmp_path / "half")
    assert tuple(half.results) == STAGES[: STAGES.index(name) + 1]
    save_compilation(run_stages(half), tmp_path / "whole")
    assert files(tmp_path / "whole") == files(folder)


def test_folder_describes_itself(folder, done):
    document = json.loads((folder / "manifest.json").read_text())
    assert document["format"] == "stemcore compilation"
    body = document["compilation"]
    assert list(body["stages"]) == list(STAGES)
    assert set(body["versions"]) == {"python", "stemcore", "numpy", "torch"}
    assert len(body["source"]) == 64
    assert body["options"]["params"]["lanes"] == TINY.lanes
    assert all(entry["key"] or name == "capture" for name, entry in body["stages"].items())
    # Nothing was split, buffered or integrated per step: one file for all four networks.
    same = {
        body["stages"][name]["file"] for name in ("lower", "split", "skip_buffers", "integrate")
    }
    assert same == {"lower.npz"}
    named = {entry["file"] for entry in (*body["stages"].values(), *body["inputs"].values())}
    assert {*named, "manifest.json", "program/memories.npz"} == set(files(folder))


@pytest.mark.medium
def test_damage_to_any_file_is_found_when_loaded(folder):
    whole = files(folder)
    for name, data in whole.items():
        middle = len(data) // 2
        for damaged in (data[:-9], data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]):
            (folder / name).write_bytes(damaged)
            with pytest.raises(
                FormatError, match=rf"^{folder}/(manifest\.json|.*npz|program/.*): "
            ):
                load_compilation(folder)
        (folder / name).unlink()
        with pytest.raises(FormatError, match=r"must (match its hash in manifest|be the mani)"):
            load_compilation(folder)
        (folder / name).write_bytes(data)
    assert set(load_compilation(folder).results) == set(STAGES)


def rewrite(folder, change):
    """A manifest with other contents and a checksum that fits them."""
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    body = json.dumps(document["compilation"], sort_keys=True, separators=(",", ":")).encode()
    document["sha256"] = hashlib.sha256(body).hexdigest()
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d.update(format="x"),
            r"format must be 'stemcore compilation', got 'x'; name an",
        ),
        (lambda d: d.update(version=9), r"version must be 3, got 9; compile the network again$"),
        (
            lambda d: d["compilation"]["stages"].update(place=d["compilation"]["stages"]["map"]),
            r"must describe a compilation: a stage must be one of capture, .*, got place",
        ),
        (
            lambda d: d["compilation"]["stages"].pop("lower"),
            r"must describe a compilation: stages must begin with the first and have no gaps",
        ),
        (
            lambda d: d["compilation"]["stages"]["map"].update(file="../map.npz"),
            r"must describe a compilation: a file must lie in the folder, got '\.\./map\.npz'",
        ),
        (
            lambda d: d["compilation"]["stages"]["map"].update(file="/etc/passwd"),
            r"must describe a compilation: a file must lie in the folder",
        ),
        (
            lambda d: d["compilation"]["stages"]["map"].pop("key"),
            r"must describe a compilation: an entry must have key, file, sha256, got",
        ),
        (
            lambda d: d["compilation"]["options"].update(mesh="big"),
            r"must describe a compilation: options\.mesh must be a list, got 'big'",
        ),
        (
            lambda d: d["compilation"]["options"]["params"].update(lanes=3),
            r"must describe a compilation: options\.params: ChipParams\.lanes: must be a power",
        ),
        (lambda d: d.update(compilation=[]), r"must describe a compilation: "),
    ],
)
def test_other_manifests_are_refused(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(FormatError, match=rf"^.*manifest\.json: {message}"):
        load_compilation(folder)


@pytest.mark.parametrize("text", ["{", "[]", "3", "[" * 100_000])
def test_what_is_no_manifest_is_refused(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(FormatError, match=r"^.*manifest\.json: (must be JSON|format must be)"):
        load_compilation(folder)


def test_exchanged_files_are_refused_when_used(folder):
    """A file that is whole, and of another stage."""

    def exchange(document):
        stages = document["compilation"]["stages"]
        stages["map"] |= {k: stages["prove"][k] for k in ("file", "sha256")}

    rewrite(folder, exchange)
    with pytest.raises(FormatError, match=r"prove\.npz: must hold a mapped network, holds a"):
        load_compilation(folder).result("map")


# The store -------------------------------------------------------------------------------------
@pytest.mark.medium
def test_nothing_changed_nothing_runs(begin, done, tmp_path):
    first = CompileFolder(tmp_path / "a")
    run_stages(begin, store=first)
    assert first.reused == {}
    before = files(tmp_path / "a")
    second = CompileFolder(tmp_path / "a")
    again = run_stages(begin, store=second)
    assert list(second.reused) == ALL_BUT_CAPTURE
    assert files(tmp_path / "a") == before
    save_compilation(again, tmp_path / "b")
    assert files(tmp_path / "b") == before


@pytest.mark.medium
@pytest.mark.parametrize(
    ("changes", "reused"),
    [
        ({"mesh": (3, 2)}, STAGES[1 : STAGES.index("map")]),
        ({"cores": 3}, STAGES[1 : STAGES.index("map")]),
        ({"tables": "rot1"}, ("check", "quantize")),
        ({"profile": "general"}, ()),
        ({"params": TINY.with_(n_spikes=16)}, ("check", "quantize", "tables", "lower")),
    ],
)
def test_a_changed_setting_runs_from_the_stage_that_it_changes(begin, tmp_path, changes, reused):
    run_stages(begin, store=CompileFolder(tmp_path / "a"))
    store = CompileFolder(tmp_path / "a")
    run_stages(begin.with_options(**changes), store=store)
    # Later stages are found too where what they read came out the same.
    assert [n for n in STAGES if n in store.reused][: len(reused)] == list(reused)
    assert "assemble" not in store.reused
    assert read_manifest(tmp_path / "a").options != begin.options


@pytest.mark.medium
def test_other_weights_or_images_are_never_mistaken(begin, tmp_path):
    run_stages(begin, store=CompileFolder(tmp_path / "a"))
    module = network()
    with torch.no_grad():
        module.load_state_dict(begin.inputs.module.state_dict())
        module[0].weight[0, 0, 0, 0] += 2.0**-10
    images = begin.inputs.calibration.copy()
    images[3, 0, 2, 2] ^= 1
    for inputs, kept in (
        ({"module": module}, {"check"}),
        ({"calibration": images}, {"check", "tables"}),
    ):
        store = CompileFolder(tmp_path / "a")
        run_stages(begin.with_inputs(**inputs), store=store)
        assert "quantize" not in store.reused
        assert {"check"} <= set(store.reused) | kept


@pytest.mark.medium
def test_other_sources_or_versions_of_the_compiler_are_never_mistaken(begin, tmp_path, monkeypatch):
    run_stages(begin, store=CompileFolder(tmp_path / "a"))
    for name, value in (
        ("source_digest", "0" * 64),
        ("versions", {**manifest.versions(), "torch": "9.9"}),
    ):
        with monkeypatch.context() as context:
            context.setattr(saved, name, lambda value=value: value)
            store = CompileFolder(tmp_path / "a")
            run_stages(begin, store=store)
            assert store.reused == {}


def test_source_digest_sees_every_file(monkeypatch, tmp_path):
    rooms = []
    for room in ("compiler", "golden"):
        (tmp_path / room / "deep" / "er").mkdir(parents=True)
        for path in ("a.py", "deep/b.py", "deep/er/c.py"):
            (tmp_path / room / path).write_text(f"{room} {path}")
        rooms.append(tmp_path / room)
    monkeypatch.setattr(manifest, "__file__", str(rooms[0] / "manifest.py"))
    monkeypatch.setattr(manifest.stemcore.golden, "__file__", str(rooms[1] / "__init__.py"))
    seen = {manifest.source_digest.__wrapped__()}
    for room in rooms:
        for path in ("a.py", "deep/b.py", "deep/er/c.py"):
            (room / path).write_text("changed")
            seen.add(manifest.source_digest.__wrapped__())
        (room / "deep" / "d.py").write_text("")
        seen.add(manifest.source_digest.__wrapped__())
    assert len(seen) == 1 + 2 * 4


@pytest.mark.medium
def test_who_stops_early_leaves_later_results_where_they_fit(begin, tmp_path):
    run_stages(begin, store=CompileFolder(tmp_path / "a"))
    whole = files(tmp_path / "a")
    run_stages(begin, stop="lower", store=CompileFolder(tmp_path / "a"))
    assert files(tmp_path / "a") == whole
    # Of other options they are not: what is loaded is one compilation.
    other = begin.with_options(profile="general")
    run_stages(other, stop="lower", store=CompileFolder(tmp_path / "a"))
    assert list(load_compilation(tmp_path / "a").results) == list(STAGES[:5])


@pytest.mark.medium
def test_first_stages_come_from_a_neighbour(begin, tmp_path):
    run_stages(begin, store=CompileFolder(tmp_path / "a"))
    store = CompileFolder(tmp_path / "b", look_in=[tmp_path / "none", tmp_path / "a"])
    other = run_stages(begin.with_options(mesh=(3, 3)), store=store)
    assert set(store.reused.values()) == {tmp_path / "a"}
    assert "quantize" in store.reused
    # The folder is whole without the one that it was taken from.
    shutil.rmtree(tmp_path / "a")
    loaded = load_compilation(tmp_path / "b")
    assert (loaded.program.columns, loaded.program.rows) == (3, 3)
    assert loaded.exact.name == other.exact.name


@pytest.mark.medium
@pytest.mark.parametrize("name", ["quantize.npz", "program/memories.npz", "manifest.json"])
def test_a_damaged_store_is_compiled_again(begin, tmp_path, name):
    run_stages(begin, store=CompileFolder(tmp_path / "a"))
    whole = files(tmp_path / "a")
    (tmp_path / "a" / name).write_bytes(b"damage")
    store = CompileFolder(tmp_path / "a")
    run_stages(begin, store=store)
    stage = {"quantize.npz": "quantize", "program/memories.npz": "assemble"}.get(name, "check")
    assert stage not in store.reused
    assert files(tmp_path / "a") == whole


@pytest.mark.medium
def test_an_interrupted_compilation_is_taken_up(begin, tmp_path, monkeypatch):
    def interrupt(self, stage, compilation):
        if stage.name == "lower":
            raise KeyboardInterrupt
        return keep(self, stage, compilation)

    keep = CompileFolder.keep
    with monkeypatch.context() as context:
        context.setattr(CompileFolder, "keep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_stages(begin, store=CompileFolder(tmp_path / "a"))
    assert set(load_compilation(tmp_path / "a").results) == set(STAGES[: STAGES.index("lower")])
    store = CompileFolder(tmp_path / "a")
    run_stages(begin, store=store)
    assert list(store.reused) == ["check", "quantize", "tables"]


def test_a_folder_of_something_else_is_refused(done, tmp_path):
    (tmp_path / "x").write_text("a file")
    with pytest.raises(FormatError, match=r"x: must be a folder, is a file; name another folder$"):
        save_compilation(done, tmp_path / "x")
    with pytest.raises(FormatError, match=r"must be new, empty, or a compilation; holds 'x'; name"):
        save_compilation(done, tmp_path)
