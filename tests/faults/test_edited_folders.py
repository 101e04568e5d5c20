# SPDX-License-Identifier: Apache-2.0
"""Programs and compilations that somebody edited, checksums put right: each is refused with one
error, or runs; and what runs in the engine of memory images runs alike on the gateware."""

import hashlib
import json
import shutil
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

import stemcore
from stemcore.compiler.manifest import compact
from stemcore.compiler.saved import load_compilation
from stemcore.golden.program.program_file import load_program, save_program
from stemcore.golden.reference.program_engine import run_program
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.errors import EngineError
from tests.support.damage import RAW, check_reading, json_damages, zip_of
from tests.support.edit_program import with_memory
from tests.support.hand_programs import conv_chain_program


def digest(data):
    return hashlib.sha256(data).hexdigest()


def edited(folder, text):
    """Writes another description of the program, with its checksum; whether it is JSON."""
    path = folder / "program.json"
    description = json.loads(path.read_text())
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return False
    description |= {"program": body, "sha256": digest(compact(body))}
    path.write_text(json.dumps(description))
    return True


@pytest.fixture
def saved(tmp_path):
    program, _ = conv_chain_program()
    save_program(program, tmp_path)
    images = np.random.default_rng(1).integers(0, 3, (2, *program.input.shape))
    return program, images, tmp_path


@pytest.mark.medium
def test_described_programs_with_one_field_changed(saved, rng):
    _, images, folder = saved
    document = json.loads((folder / "program.json").read_text())["program"]
    count = {"ran": 0, "refused": 0}
    for what, text in json_damages(document, rng, 150):
        if edited(folder, text):
            said = check_reading(lambda: run_program(load_program(folder), images), what)
            count["ran" if said is None else "refused"] += 1
    assert count["refused"] > 80
    assert count["ran"] >= 2


CHANGES = {
    "columns": ({"columns": 0}, r"columns: must lie in 1\.\.\d+, got 0"),
    "rows": ({"rows": 1 << 40}, r"rows: must lie in 1\.\.\d+, got \d+"),
    "credits": ({"input_credits": -1}, r"input_credits: must lie in 1\.\.65536, got -1"),
    "ends": ({"output_ends": 1 << 70}, r"output_ends: must lie in 1\.\.65536, got \d+"),
    "output": ({"output": "none"}, r"output: must be a layer, got none"),
    "output core": ({"output_cores": [[9, 9]]}, r"output_cores: must be nodes with a core, got"),
    "no cores": ({"cores": []}, r"array '0\.\w+' is in only one of the two files"),
    "end": ({"input_end": [[0, 9, 0, 9]]}, r"input end 0: y: must lie in 1\.\.\d, got 9"),
    "end backwards": ({"input_end": [[1, 1, 0, 1]]}, r"input end 0: the first corner must not lie"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_fields_that_no_program_has_are_named(kind, saved):
    _, _, folder = saved
    changes, reason = CHANGES[kind]
    document = json.loads((folder / "program.json").read_text())["program"]
    edited(folder, json.dumps(document | changes))
    with pytest.raises(ValueError, match=rf"program\.json: must describe a program .*: {reason}"):
        load_program(folder)


INNER = {
    "route axon": (
        "input_routes",
        "axon",
        -1,
        r"input route 0: axon: must lie in 0\.\.\d+, got -1",
    ),
    "route rows": ("input_routes", "rows", [3, 1], r"input route 0: rows: must lie in 0\.\.3"),
    "core place": ("cores", "x", 200, r"core of '\w+': x: must lie in 0\.\.\d+, got 200"),
    "core layer": ("cores", "layer", "none", r"cores: a layer must be one of layers, got none"),
    "layer work": ("layers", "n_macs", -5, r"layer '\w+': n_macs: must lie in 0\.\.\d+, got -5"),
    "layer shape": ("layers", "shape", [0, 1, 1], r"layer '\w+': C: must lie in 1\.\.\d+, got 0"),
}


@pytest.mark.parametrize("kind", INNER)
def test_parts_that_no_program_has_are_named(kind, saved):
    _, _, folder = saved
    part, field, value, reason = INNER[kind]
    document = json.loads((folder / "program.json").read_text())["program"]
    document[part][0][field] = value
    edited(folder, json.dumps(document))
    with pytest.raises(ValueError, match=rf"program\.json: must describe a program .*: {reason}"):
        load_program(folder)


def word_edits(program, rng, n):
    """``n`` times the program with one memory word changed: a bit, all bits, another word's."""
    for number in range(n):
        core = int(rng.integers(len(program.cores)))
        memories = program.cores[core].memories
        memory = sorted(m for m, words in memories.items() if len(words))[
            int(rng.integers(sum(len(words) > 0 for words in memories.values())))
        ]
        words = memories[memory].copy()
        at = tuple(int(rng.integers(size)) for size in words.shape)
        if number % 3 == 0:
            words[at] ^= np.uint32(1 << int(rng.integers(32)))
        elif number % 3 == 1:
            words[at] = (0, 0xFFFFFFFF)[int(rng.integers(2))]
        else:
            words[at[0]] = words[int(rng.integers(len(words)))]
        yield f"core {core} {memory.name} {at}", with_memory(program, core, memory, words)


@pytest.mark.medium
def test_memory_words_with_one_change(saved, rng):
    program, images, folder = saved
    count = {"ran": 0, "refused": 0}
    for what, changed in word_edits(program, rng, 150):
        save_program(changed, folder)
        said = check_reading(lambda: run_program(load_program(folder), images), what)
        count["ran" if said is None else "refused"] += 1
    assert min(count.values()) > 20, count


@pytest.mark.sim
@pytest.mark.slow
def test_programs_with_one_word_changed_run_alike_on_the_gateware(saved, rng):
    """Or the gateware's run ends with an error that says why; never in other values."""
    program, images, folder = saved
    n_alike = 0
    for what, changed in word_edits(program, rng, 30):
        save_program(changed, folder)
        loaded = load_program(folder)
        try:
            expected = run_program(loaded, images)
        except ValueError:
            continue
        try:
            ran = run_engine("rtl", loaded, images, threads=1)
        except (EngineError, ValueError):
            continue
        np.testing.assert_array_equal(ran.outputs, expected.outputs, what)
        n_alike += 1
    assert n_alike >= 5


@pytest.fixture(scope="module")
def compilation(tmp_path_factory):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)).eval()
    images = np.random.default_rng(0).integers(-127, 128, (8, 1, 6, 6)).astype(np.int8)
    folder = tmp_path_factory.mktemp("saved") / "net"
    stemcore.compile(module, calibration=images, input="signed", preset="tiny").save(folder)
    return folder


def seal(folder):
    """Puts every checksum of a compilation right."""
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    body = document["compilation"]
    for entry in (*body["stages"].values(), *body["inputs"].values()):
        entry["sha256"] = digest((folder / entry["file"]).read_bytes())
    document["sha256"] = digest(compact(body))
    path.write_text(json.dumps(document))


def everything(folder):
    """Loads a compilation with all results."""
    loaded = load_compilation(folder)
    for name in loaded.results:
        loaded.result(name)


@pytest.mark.medium
def test_compilations_with_one_record_changed(compilation, tmp_path, rng):
    folder = tmp_path / "net"
    shutil.copytree(compilation, folder)
    everything(folder)
    n_refused = 0
    for path in sorted(folder.glob("*.npz")):
        whole = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        for what, text in json_damages(json.loads(parts["content.json"]), rng, 10):
            path.write_bytes(zip_of(parts | {"content.json": text.encode()}))
            seal(folder)
            said = check_reading(lambda: everything(folder), f"{path.name}: {what}")
            n_refused += said is not None
        path.write_bytes(whole)
    assert n_refused > 20


@pytest.mark.medium
def test_manifests_with_one_part_changed(compilation, tmp_path, rng):
    folder = tmp_path / "net"
    shutil.copytree(compilation, folder)
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    for what, text in json_damages(document["compilation"], rng, 80):
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            assert any(raw[:5] in text for raw in RAW)
            continue
        path.write_text(
            json.dumps(document | {"compilation": body, "sha256": digest(compact(body))})
        )
        check_reading(lambda: everything(folder), what)
