# SPDX-License-Identifier: Apache-2.0
"""Records come back exactly as they were written; whatever is no record says so."""

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping

import hypothesis.extra.numpy as arrays_of
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stemcore.compiler.archive import archive_bytes, read_archive, write_archive
from stemcore.compiler.errors import FormatError
from stemcore.compiler.records import load_record, record_bytes, save_record
from stemcore.compiler.stages import check_network
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import Network
from tests.support.random_networks import random_images, random_network


@dataclasses.dataclass(frozen=True, eq=False)
class Leaf:
    weights: NDArray[np.int8]
    table: NDArray[np.float64] | None


class Shape:
    """A base that is no record itself."""


@dataclasses.dataclass(frozen=True)
class Square(Shape):
    side: int


@dataclasses.dataclass(frozen=True)
class Circle(Shape):
    radius: float


@dataclasses.dataclass(frozen=True, eq=False)
class Tree:
    name: str
    flag: bool
    pair: tuple[int, int]
    many: tuple[float, ...]
    shape: Shape | None
    scales: Mapping[str, float]
    leaves: tuple[Leaf, ...]
    choice: str | dict[str, int]


NUMBERS = st.floats(allow_nan=False)
LEAVES = st.builds(
    Leaf,
    arrays_of.arrays(np.int8, arrays_of.array_shapes(max_dims=4)),
    st.none() | arrays_of.arrays(np.float64, st.integers(0, 5)),
)
TREES = st.builds(
    Tree,
    st.text(),
    st.booleans(),
    st.tuples(st.integers(), st.integers()),
    st.lists(NUMBERS, max_size=3).map(tuple),
    st.none() | st.builds(Square, st.integers()) | st.builds(Circle, NUMBERS),
    st.dictionaries(st.text(), NUMBERS, max_size=3),
    st.lists(LEAVES, max_size=3).map(tuple),
    st.text() | st.dictionaries(st.text(), st.integers(), max_size=2),
)


def same(one, other):
    """Equal to the bit and of the same types, arrays and their types too."""
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and (one.dtype, one.shape) == (other.dtype, other.shape)
            and one.tobytes() == other.tobytes()
        )
    if type(one) is not type(other):
        return False
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return one == other and repr(one) == repr(other)  # 0.0 is not -0.0


@pytest.mark.medium
@given(tree=TREES)
def test_records_come_back_exactly(tree, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "tree.npz"
    save_record(path, "tree", tree)
    again = load_record(path, "tree", Tree)
    assert same(tree, again)
    assert record_bytes("tree", again) == path.read_bytes() == record_bytes("tree", tree)


@pytest.mark.medium
@given(seed=st.integers(0, 2**32))
def test_networks_come_back_exactly(seed, tmp_path_factory):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    path = tmp_path_factory.getbasetemp() / "network.npz"
    save_record(path, "network", network)
    again = load_record(path, "network", Network, check_network)
    assert same(network, again)
    images = random_images(rng, network, 1)
    got = run_network(again, images, acc_width=32)
    for name, values in run_network(network, images, acc_width=32).items():
        np.testing.assert_array_equal(got[name], values)


def test_floats_that_fit_are_stored_in_half_the_space(tmp_path, rng):
    wide, narrow = rng.random(4000), rng.random(4000).astype(np.float32).astype(np.float64)
    sizes = []
    for values in (wide, narrow):
        path = tmp_path / "leaf.npz"
        leaf = Leaf(np.zeros(1, np.int8), values)
        save_record(path, "leaf", leaf)
        assert same(load_record(path, "leaf", Leaf), leaf)
        sizes.append(path.stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]


def rewrite(path, change):
    """The archive with its content changed, in good order otherwise."""
    with zipfile.ZipFile(path) as archive:
        document = json.loads(archive.read("content.json"))
        found = {
            name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)))
            for name in archive.namelist()
            if name != "content.json"
        }
    changed = change(document["content"])
    content = changed if isinstance(changed, list) else document["content"]
    path.write_bytes(archive_bytes(document["kind"], content, found))


LEAF = Leaf(np.arange(-3, 3, dtype=np.int8), np.ones(4))
TREE = Tree("t", True, (1, 2), (0.5,), Square(3), {"a": 1.0}, (LEAF,), "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("flag"), r"tree: a Tree must have the fields .*; wrong: \['flag'\]"),
        (lambda t: t.update(more=1), r"tree: a Tree must have the fields .*; wrong: \['more'\]"),
        (lambda t: t.update(name=3), r"tree\.name must be a string, got 3"),
        (lambda t: t.update(flag=1), r"tree\.flag must be true or false, got 1"),
        (lambda t: t.update(pair=[1]), r"tree\.pair must have 2 elements, has 1"),
        (lambda t: t.update(pair=[1, True]), r"tree\.pair\[1\] must be an integer, got True"),
        (lambda t: t.update(many="x"), r"tree\.many must be a list, got 'x'"),
        (lambda t: t.update(many=[None]), r"tree\.many\[0\] must be a number, got None"),
        (lambda t: t.update(shape={"is": "Cube"}), r"tree\.shape must be a Circle or Square, got"),
        (lambda t: t.update(shape=7), r"tree\.shape must be a Circle or Square, got 7"),
        (lambda t: t.update(scales=[]), r"tree\.scales must be a mapping, got \[\]"),
        (lambda t: t.update(scales={"pairs": [[1, 1.0]]}), r"a key of tree\.scales must be a str"),
        (
            lambda t: t.update(scales={"pairs": [["a", 1.0], ["a", 2.0]]}),
            r"tree\.scales must have the key 'a' once",
        ),
        (
            lambda t: t["leaves"][0].update(weights={"array": "9"}),
            r"tree\.leaves\[0\]\.weights: the file must have the array '9', has none",
        ),
        (
            lambda t: t["leaves"][0].update(weights=t["leaves"][0]["table"]),
            r"tree\.leaves\[0\]\.weights must be an array of int8, got float64",
        ),
        (
            lambda t: t["leaves"][0].update(weights={"array": "0", "of": "float64"}),
            r"tree\.leaves\[0\]\.weights: only float64 is stored as float32",
        ),
        (lambda t: t.update(choice=3), r"tree\.choice must be a "),
        (lambda t: [1], r"tree must be a Tree, got \[1\]"),
    ],
)
def test_other_contents_are_refused_by_name(tmp_path, change, message):
    path = tmp_path / "tree.npz"
    save_record(path, "tree", TREE)
    rewrite(path, change)
    with pytest.raises(
        FormatError, match=rf"^.*tree\.npz: must hold a valid tree: {message}.*; compile the netw"
    ):
        load_record(path, "tree", Tree)


def test_what_a_check_finds_is_in_the_message(tmp_path, rng):
    network = random_network(rng, n_layers=2)
    layers = (dataclasses.replace(network.layers[0], bias=np.zeros(99, np.int64)),)
    save_record(tmp_path / "n.npz", "network", dataclasses.replace(network, layers=layers))
    with pytest.raises(FormatError, match=r"must hold a valid network: .*: bias must have shape"):
        load_record(tmp_path / "n.npz", "network", Network, check_network)


def test_foreign_archives_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_archive(path, "network", {}, {})
    with pytest.raises(
        FormatError, match=r"^.*a\.npz: must hold a tree, holds a network; name ano"
    ):
        read_archive(path, "tree")
    np.savez(path, x=np.zeros(3))
    with pytest.raises(FormatError, match=r"^.*a\.npz: must be an archive of a tree; KeyError: .*"):
        read_archive(path, "tree")
    with pytest.raises(FormatError, match=r"^.*none\.npz: must be an archive of a tree; FileNotFo"):
        read_archive(tmp_path / "none.npz", "tree")


def test_other_versions_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        document = {"format": "stemcore archive", "version": 2, "kind": "tree", "content": {}}
        archive.writestr("content.json", json.dumps(document))
    with pytest.raises(FormatError, match=r"must be of the format 'stemcore archive', version 1; "):
        read_archive(path, "tree")


@pytest.mark.slow
def test_damage_is_found_or_harmless(tmp_path, rng):
    path = tmp_path / "tree.npz"
    save_record(path, "tree", TREE)
    data = path.read_bytes()
    n_found = 0
    for at in range(len(data)):
        path.write_bytes(
            data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]
        )
        try:
            # Bits that only say how the zip was made change nothing.
            assert same(load_record(path, "tree", Tree), TREE), f"byte {at}"
        except FormatError:
            n_found += 1
    assert n_found > len(data) // 2
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at])
        with pytest.raises(FormatError, match=r"must be an archive of a tree"):
            load_record(path, "tree", Tree)


def test_objects_are_neither_written_nor_read(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(TypeError, match=r"^archive: array 'x' must hold numbers, holds objects$"):
        write_archive(path, "tree", {}, {"x": np.array([{}])})
    with pytest.raises(TypeError, match=r"^records: set has no form in a file$"):
        save_record(path, "tree", {1, 2})
    assert not path.exists()
    with zipfile.ZipFile(path, "w") as archive:
        document = {"format": "stemcore archive", "version": 1, "kind": "tree", "content": {}}
        archive.writestr("content.json", json.dumps(document))
        data = io.BytesIO()
        np.save(data, np.array([{}]), allow_pickle=True)
        archive.writestr("0.npy", data.getvalue())
    with pytest.raises(FormatError, match=r"must hold numbers or text, holds object"):
        read_archive(path, "tree")
