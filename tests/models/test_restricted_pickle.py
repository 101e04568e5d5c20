# SPDX-License-Identifier: Apache-2.0
"""Pickles are read as data: what they ask to run is refused and does not run."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from stemcore.models.data.restricted_pickle import load_restricted
from stemcore.models.errors import DataError

REFUSED = r"^.*: a pickle must hold only arrays of numbers, bytes, str, dict and list; "


class Touch:
    """Pickles to a call that creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def load_bytes(tmp_path, raw):
    path = tmp_path / "data_batch_1"
    path.write_bytes(raw)
    return load_restricted(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_load_restricted_returns_plain_data(tmp_path, protocol):
    value = {
        "text": "x",
        b"bytes": b"\xff\x00",
        "empty": b"",
        "list": [1, 2.5, None, True],
        "tuple": (1, (2,)),
    }
    assert load_bytes(tmp_path, pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.uint8).reshape(3, 4),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype=">i4"),
        np.zeros((0, 3), np.int64),
        np.array(True),
    ],
    ids=str,
)
def test_load_restricted_returns_arrays(tmp_path, protocol, array):
    loaded = load_bytes(tmp_path, pickle.dumps(array, protocol))
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)


def test_load_restricted_reads_python_2_strings_as_bytes(tmp_path):
    # {'label': 'cat'} as Python 2 writes it under protocol 2.
    assert load_bytes(tmp_path, b"\x80\x02}U\x05labelU\x03cats.") == {b"label": b"cat"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {b"data": [x]}])
def test_malicious_pickle_is_refused_and_does_not_run(tmp_path, protocol, wrap):
    victim = tmp_path / "ran"
    with pytest.raises(DataError, match=REFUSED + r".* came, and nothing was run; get the file"):
        load_bytes(tmp_path, pickle.dumps(wrap(Touch(victim)), protocol))
    assert not victim.exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"cos\nsystem\n(S'true'\ntR.",  # a call by name
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"(S'true'\nios\nsystem\n.",  # the INST opcode
        b"cnumpy\ndtype\n}S'__call__'\nI1\nsb.",  # attributes of an admitted name
        b"cnumpy\ndtype\n(N}S'__class__'\nI1\nstb.",  # the same through slot state
        b"cnumpy\ndtype\n(S'O8'\ntR.",  # an object type
        b"cnumpy.core.multiarray\n_reconstruct\n(tR.",  # an array without a state
        b"cnumpy\nndarray\n.",  # an admitted name as the value
        b"\x80\x04\x8c\x06numpy.\x8c\x06os.sys\x93.",  # dotted names
        b"S'1'\nP1\n.",
        b"I1\nQ.",  # persistent ids
        b"",
        b"no pickle",
    ],
)
def test_hand_written_pickles_are_refused(tmp_path, raw):
    with pytest.raises(DataError, match=REFUSED):
        load_bytes(tmp_path, raw)


def test_object_arrays_and_short_arrays_are_refused(tmp_path):
    with pytest.raises(DataError, match=REFUSED):
        load_bytes(tmp_path, pickle.dumps(np.array([{}, None])))
    raw = pickle.dumps(np.zeros(3, np.uint8), 2)
    assert raw.count(b"K\x03\x85") == 1
    with pytest.raises(DataError, match=REFUSED + r"an array \(200,\) in 3 bytes"):
        load_bytes(tmp_path, raw.replace(b"K\x03\x85", b"K\xc8\x85"))
