# SPDX-License-Identifier: Apache-2.0
"""Saved programs come back as they were; anything else is refused with a reason."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from stemcore.golden.network.network import Population
from stemcore.golden.network.results import Output, Results
from stemcore.golden.program.program import CoreImage, InputRoute, LayerInfo, Program
from stemcore.golden.program.program_file import load_program, save_program
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from tests.support import evidence


@pytest.fixture
def program(rng):
    params = get_preset("tiny")
    formats = Formats(params)

    def image(x, y):
        memories = {}
        for memory in Memory:
            n_words = int(rng.integers(0, min(8, formats.memory(memory)[1])))
            shape = (n_words, formats.n_chunks(memory))
            memories[memory] = rng.integers(0, 1 << 32, shape, dtype=np.uint32)
        return CoreImage(x, y, "dense", memories)

    population = Population("dense", (3, 1, 1), 8, True)
    return Program(
        name="small",
        params=params,
        columns=2,
        rows=1,
        cores=(image(0, 1), image(1, 1)),
        layers=(LayerInfo(population, (3, 1, 1), 12, 15),),
        input=Population("input", (1, 2, 2), 4, False),
        input_routes=(InputRoute((0, 1), (0, 0), (0, 1, 1, 1), 2),),
        input_end=((0, 1, 1, 1),),
        input_credits=2,
        output="dense",
        output_ends=2,
        output_cores=((0, 1), (1, 1)),
        overflow_proved=False,
    )


def same(one, other):
    assert dataclasses.replace(one, cores=()) == dataclasses.replace(other, cores=())
    assert len(one.cores) == len(other.cores)
    for a, b in zip(one.cores, other.cores, strict=True):
        assert (a.x, a.y, a.layer, set(a.memories)) == (b.x, b.y, b.layer, set(b.memories))
        for memory, words in a.memories.items():
            assert words.dtype == b.memories[memory].dtype
            np.testing.assert_array_equal(words, b.memories[memory])


def rewrite(directory, change):
    """Changes the described program and makes its checksum right again."""
    path = directory / "program.json"
    description = json.loads(path.read_text())
    change(description["program"])
    compact = json.dumps(description["program"], sort_keys=True, separators=(",", ":"))
    description["sha256"] = hashlib.sha256(compact.encode()).hexdigest()
    path.write_text(json.dumps(description))


def test_program_comes_back_as_saved(program, tmp_path):
    save_program(program, tmp_path / "new" / "folder")
    same(load_program(tmp_path / "new" / "folder"), program)


def test_outputs_of_several_layers_lie_behind_each_other_in_one_array(program):
    assert program.output_layers == ("dense",)
    assert program.output_shape == (3, 1, 1)
    other = LayerInfo(Population("map", (2, 3, 4), 8, True), (2, 3, 4), 1, 1)
    outputs = tuple(Output(f"{n}", source) for n, source in enumerate(("map", "dense", "map")))
    several = dataclasses.replace(
        program,
        layers=(*program.layers, other),
        results=Results(outputs, '{"tuple": [0, 1, 2]}'),
    )
    assert several.output_layers == ("map", "dense")
    assert [p.name for p in several.output_populations] == ["map", "dense"]
    assert several.output_shape == (2 * 3 * 4 + 3, 1, 1)


def test_save_writes_the_same_bytes_again(program, tmp_path):
    save_program(program, tmp_path / "a")
    save_program(program, tmp_path / "b")
    save_program(load_program(tmp_path / "a"), tmp_path / "b")
    for name in ("program.json", "memories.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_load_names_a_missing_file(program, tmp_path):
    with pytest.raises(ValueError, match=r"program\.json: must be a file of a saved program, got"):
        load_program(tmp_path)
    save_program(program, tmp_path)
    (tmp_path / "memories.npz").unlink()
    with pytest.raises(ValueError, match=r"memories\.npz: must be a file of a saved program, got"):
        load_program(tmp_path)


@pytest.mark.parametrize("name", ["program.json", "memories.npz"])
def test_load_refuses_truncated_files(program, tmp_path, name):
    save_program(program, tmp_path)
    data = (tmp_path / name).read_bytes()
    for length in (0, 1, len(data) // 2, len(data) - 3):
        (tmp_path / name).write_bytes(data[:length])
        with pytest.raises(ValueError, match=rf"{name}: .*must .*; compile the network again$"):
            load_program(tmp_path)


def test_load_refuses_every_changed_byte_of_the_memories(program, tmp_path, rng):
    save_program(program, tmp_path)
    path = tmp_path / "memories.npz"
    data = path.read_bytes()
    for position in rng.integers(0, len(data), 20):
        changed = bytearray(data)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"memories\.npz: \d+ bytes must match the checksum"):
            load_program(tmp_path)
        evidence.record("bit flip", position=int(position))


def test_load_refuses_a_changed_description(program, tmp_path):
    save_program(program, tmp_path)
    path = tmp_path / "program.json"
    path.write_text(path.read_text().replace('"input_credits": 2', '"input_credits": 3'))
    with pytest.raises(ValueError, match=r"program\.json: must match its checksum, does not; "):
        load_program(tmp_path)


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": "other"}', "3"])
def test_load_refuses_foreign_descriptions(tmp_path, content):
    (tmp_path / "program.json").write_text(content)
    with pytest.raises(ValueError, match=r"program\.json: format must be 'stemcore program', got "):
        load_program(tmp_path)


def test_load_refuses_other_versions(program, tmp_path):
    save_program(program, tmp_path)
    path = tmp_path / "program.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match=r"program\.json: version must be 1, got 2; compile"):
        load_program(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: p.pop("rows"), "KeyError: 'rows'"),
        (lambda p: p.update(rows="1"), "TypeError: an integer is wanted, got '1'"),
        (lambda p: p["params"].pop("lanes"), "ValueError: ChipParams: unknown keys"),
        (lambda p: p["cores"].pop(), "ValueError: array '1.AXON' is in only one"),
        (lambda p: p["cores"][0]["memories"].append("CACHE"), "ValueError: array '0.CACHE'"),
        (lambda p: p["params"].update(lanes=8), "ValueError: .* must be uint32"),
        (lambda p: p["input"].update(shape=[1, 2]), "ValueError: not enough values"),
        (lambda p: p.update(overflow_proved=0), "TypeError: true or false is wanted, got 0"),
    ],
)
def test_load_refuses_descriptions_that_are_no_program(program, tmp_path, change, reason):
    save_program(program, tmp_path)
    rewrite(tmp_path, change)
    match = rf"program\.json: must describe a program of version 1, got {reason}"
    with pytest.raises(ValueError, match=match):
        load_program(tmp_path)


def test_a_memory_may_be_full_and_no_fuller(program, tmp_path):
    formats = Formats(program.params)
    core = program.cores[0]
    for extra in (0, 1):
        memories = dict(core.memories)
        for memory in set(Memory) - {Memory.CONTROL}:
            shape = (formats.memory(memory)[1] + extra, formats.n_chunks(memory))
            memories[memory] = np.zeros(shape, np.uint32)
        full = dataclasses.replace(core, memories=memories)
        changed = dataclasses.replace(program, cores=(full, *program.cores[1:]))
        save_program(changed, tmp_path / str(extra))
    assert load_program(tmp_path / "0").cores[0].memories.keys() == core.memories.keys()
    with pytest.raises(ValueError, match=r"must have at most \d+ words, has \d+"):
        load_program(tmp_path / "1")


def test_load_never_unpickles(program, tmp_path):
    save_program(program, tmp_path)
    path = tmp_path / "memories.npz"
    np.savez(path, **{"0.AXON": np.array([{}], dtype=object)})
    description = json.loads((tmp_path / "program.json").read_text())
    description["memories_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "program.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"memories\.npz: must be an archive of arrays, got: "):
        load_program(tmp_path)
