# SPDX-License-Identifier: Apache-2.0
"""Files with one thing wrong, and what a reader may make of them."""

import copy
import io
import json
import resource
import struct
import time
import zipfile
from contextlib import contextmanager

import numpy as np

from stemcore.runtime.commands.endings import explain, is_mendable
from tests.support.archives import harmful_pickle

SPARE = 400 << 20  # bytes of memory that a reader may take for a small file
SECONDS = 5.0  # that it may take
DEEP = "[" * 200_000
# In the place of any value in a JSON text; those in quotes are raw text.
VALUES = (None, True, -1, 0, 1, 2**31, 2**63, 2**70, 0.5, 1e308, "", "x", "../x", [], {}, [[]], "9")
RAW = (DEEP, "[" * 900 + "]" * 900, "NaN", "-Infinity", "1e999", "9" * 5000, '"' + "x" * 100_000)
# Bytes that are of another kind of file altogether.
FOREIGN = (
    b"",
    b"\n",
    b"\0" * 64,
    b"\xff" * 64,
    b"PK\x03\x04" + b"\0" * 40,
    b"PK\x05\x06" + b"\0" * 18,
    b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
    b"<html>",
    b"{}",
    b"[]",
    b"null",
    DEEP.encode(),
    b"\x93NUMPY\x01\x00",
    struct.pack("<Q", 1 << 60) + b"{}",
)


def damages(data, rng, n=12):
    """``n`` times the bytes with one thing wrong, each with a name for messages."""
    for number in range(n):
        kind = ("cut", "flip", "ones", "zeros", "twice", "moved", "longer")[number % 7]
        broken = bytearray(data)
        at = int(rng.integers(len(data))) if data else 0
        if kind == "cut":
            broken = broken[:at]
        elif kind == "flip":
            for _ in range(int(rng.integers(1, 6))):
                broken[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        elif kind in ("ones", "zeros"):
            size = int(rng.choice([1, 2, 4, 8]))
            broken[at : at + size] = (b"\xff" if kind == "ones" else b"\0") * size
        elif kind == "twice":
            broken[at:at] = data[at : at + 64]
        elif kind == "moved":
            broken = broken[at:] + broken[:at]
        else:
            broken += rng.integers(0, 256, 100, np.uint8).tobytes()
        yield f"{kind} at {at}, {number}", bytes(broken)


def foreign(trace):
    """Bytes of other kinds of files, one of which would make the folder ``trace`` if it ran."""
    yield from ((f"foreign {data[:8]!r}", data) for data in FOREIGN)
    yield "a pickle that runs something", harmful_pickle(trace)


def places(document, at=()):
    """Paths of everything in a JSON document."""
    children = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in children:
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from places(value, (*at, key))


def json_damages(document, rng, n=40):
    """``n`` texts of the document with one part exchanged, left out, renamed, or there twice."""
    where = list(places(document))
    for number in range(n):
        broken = copy.deepcopy(document)
        *before, last = where[int(rng.integers(len(where)))]
        parent = broken
        for key in before:
            parent = parent[key]
        kind = ("exchange", "raw", "drop", "rename", "number")[number % 5]
        text, name = None, f"{kind} {'.'.join(map(str, (*before, last)))}"
        if kind == "drop":
            del parent[last]
        elif kind == "rename" and isinstance(parent, dict):
            parent[f"{last}x"] = parent.pop(last)
        elif kind == "number" and isinstance(parent[last], int):
            parent[last] += int(rng.choice([-1, 1, 2, 255, 2**16, -(2**33)]))
        elif kind == "raw":
            parent[last] = "HERE"
            text = json.dumps(broken).replace('"HERE"', RAW[int(rng.integers(len(RAW)))], 1)
        else:
            parent[last] = copy.deepcopy(VALUES[int(rng.integers(len(VALUES)))])
        yield name, json.dumps(broken) if text is None else text


def npy_bytes(header, body=b"", version=(1, 0)):
    """A ``.npy`` file with any text for a header."""
    text = header.encode("latin1") + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + body


def npy_damages(trace):
    """Arrays that claim what is not there, or are none."""
    for shape in ("(1000000000000,)", "(-1,)", "(4, -4)", "(2, 3)", "()", "(9999999999999999999,)"):
        for kind in ("<i4", "|u1", "<f8", "|V9999999", "<U99999999", "|S1"):
            header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
            yield f"{kind} {shape}", npy_bytes(header, bytes(16))
    for header in (
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f4', 'fortran_order': 3, 'shape': (1,), }",
        "{'descr': '<f4', 'shape': (1,), }",
        "__import__('os').mkdir('here')",
        "(" * 5000,
        "{" * 90,
        "",
    ):
        yield f"header {header[:40]!r}", npy_bytes(header, harmful_pickle(trace))
    whole = io.BytesIO()
    np.lib.format.write_array(whole, np.arange(4, dtype=np.int64))
    for version in ((0, 0), (4, 0), (255, 255)):
        yield f"version {version}", b"\x93NUMPY" + bytes(version) + whole.getvalue()[8:]


def _fields(message):
    """Every field that is set in a message of protocol buffers, with the message that has it."""
    for field, value in message.ListFields():
        yield message, field
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                yield from _fields(part)


def _other_value(field, old, rng):
    """Of the same type, in the place of a field's value."""
    if field.enum_type is not None:
        return int(rng.choice([value.number for value in field.enum_type.values]))
    if isinstance(old, bytes):
        return old[: len(old) // 2]
    if isinstance(old, str):
        return str(rng.choice(["", "x", "image", old * 3000, "../x"]))
    if isinstance(old, float):
        return float(rng.choice([np.nan, np.inf, -old, 0.0, 1e38]))
    return int(rng.choice([0, 1, 2, 7, 255, 2**31 - 1, -1]))


def onnx_damages(data, rng, n):
    """``n`` ONNX files that parse, with one field exchanged, left out, there twice, or in another
    order; every second one is a field of the inputs."""
    from onnx import ModelProto

    for number in range(n):
        model = ModelProto.FromString(data)
        inputs = model.graph.input
        where = list(_fields(inputs[int(rng.integers(len(inputs)))] if number % 2 else model))
        message, field = where[int(rng.integers(len(where)))]
        value = getattr(message, field.name)
        kind = ("exchange", "exchange", "drop", "twice", "order")[number % 5]
        if kind == "drop" or (field.message_type is not None and not field.is_repeated):
            message.ClearField(field.name)
        elif not field.is_repeated:
            setattr(message, field.name, _other_value(field, value, rng))
        else:
            parts = list(value)
            at = int(rng.integers(len(parts)))
            if kind == "order":
                parts.reverse()
            elif kind == "twice" or field.message_type is not None:
                parts.insert(at, parts[at])
            else:
                parts[at] = _other_value(field, parts[at], rng)
            copies = type(message)()
            getattr(copies, field.name).extend(parts)
            message.ClearField(field.name)
            getattr(message, field.name).extend(getattr(copies, field.name))
        yield f"{kind} {field.full_name}, {number}", model.SerializeToString()


def zip_of(parts, method=zipfile.ZIP_DEFLATED):
    """An archive of named bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return stream.getvalue()


def parts_of(data):
    """Named bytes of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def npz_damages(data, rng, trace, n=30):
    """An archive of arrays whose own checksums are right, with one entry wrong."""
    parts = parts_of(data)
    names = list(parts)
    arrays = list(npy_damages(trace))
    for number in range(n):
        name = names[number % len(names)]
        if number % 2:
            what, broken = arrays[int(rng.integers(len(arrays)))]
        else:
            what, broken = next(damages(parts[name], rng, 1))
        yield f"{name}: {what}", zip_of(parts | {name: broken})
    left = {name: data for name, data in parts.items() if name != names[0]}
    yield "an entry left out", zip_of(left)
    yield "an entry more", zip_of(parts | {"more.npy": npy_bytes("")})
    yield "an entry that is a pickle", zip_of(parts | {names[0]: harmful_pickle(trace)})
    yield "bomb", zip_bomb(parts, names[0])
    yield "bzip2", zip_of(parts, zipfile.ZIP_BZIP2)
    yield "lie of size", lie_of_size(zip_of(parts))


def zip_bomb(parts, name, n_bytes=80 << 20):
    """An entry of zeros that is an array of ``n_bytes``, in some hundred kilobytes."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({n_bytes},), }}"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, data in parts.items():
            if other != name:
                archive.writestr(other, data)
        with archive.open(name, "w") as entry:
            entry.write(npy_bytes(header))
            for _ in range(n_bytes >> 20):
                entry.write(bytes(1 << 20))
    return stream.getvalue()


def lie_of_size(data):
    """The archive whose list of entries states sizes of some gigabytes."""
    broken, at = bytearray(data), 0
    while (at := broken.find(b"PK\x01\x02", at)) >= 0:
        broken[at + 24 : at + 28] = b"\xf0\xff\xff\x7f"
        at += 4
    return bytes(broken)


@contextmanager
def little_memory(spare=SPARE):
    """Inside, the process gets no more than ``spare`` bytes beyond those that it has."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 - no path of ours
        pages = int(file.read().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + spare, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def check_reading(read, what):
    """``read()`` gives something, or an error that a command ends with, soon and in little memory.

    Returns the message, None where it was read.
    """
    began, error = time.monotonic(), None
    with little_memory():
        try:
            read()
        except Exception as caught:
            error = caught
    assert time.monotonic() - began < SECONDS, what
    if error is None:
        return None
    assert is_mendable(error), f"{what}: {type(error).__name__}: {error}"
    assert not any(isinstance(one, MemoryError) for one in chain(error)), f"{what}: took all memory"
    message = explain(error)
    assert message.strip(), what
    return message


def chain(error):
    """An error and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
