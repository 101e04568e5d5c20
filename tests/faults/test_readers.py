# SPDX-License-Identifier: Apache-2.0
"""Whatever a file holds, its reader gives what it is, or one clear error: no traceback, no hang, no
memory on a header's word, and nothing of the file is run."""

import functools
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from stemcore.compiler.frontends.registry import read_model
from stemcore.compiler.manifest import read_manifest
from stemcore.compiler.quantization.quantized import load_quantized
from stemcore.compiler.sparsity.tables import find_tables, read_tables
from stemcore.golden.program.program_file import load_program, save_program
from stemcore.models.checkpoint import read_checkpoint
from stemcore.models.data import load_dataset
from stemcore.models.data.array_file import load_arrays, load_inputs
from stemcore.models.data.image_files import decode, fill
from stemcore.models.data.voc import read_annotation
from stemcore.models.plain_weights import load_weights
from stemcore.runtime.commands.run import read_images
from stemcore.runtime.report.schema import read_report
from tests.support.damage import (
    check_reading,
    damages,
    foreign,
    json_damages,
    npy_bytes,
    npy_damages,
    npz_damages,
    onnx_damages,
)
from tests.support.hand_programs import conv_chain_program
from tests.support.reports import rtl_report

SHAPE = (3, 16, 16)


def npz(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def picture(kind="PNG", size=(16, 16), mode="RGB"):
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(stream, kind)
    return stream.getvalue()


def bytes_of(n, *shape):
    return np.random.default_rng(n).integers(0, 256, (n, *shape), np.uint8)


def images_npy():
    stream = io.BytesIO()
    np.save(stream, bytes_of(3, 2, 4, 4))
    return stream.getvalue()


def images_npz():
    return npz(images=bytes_of(3, 2, 4, 4), labels=np.arange(3))


def arrays_npz():
    names = {"y_train": np.arange(6) % 3, "y_test": np.arange(4) % 3, "class_names": list("abc")}
    return npz(x_train=bytes_of(6, *SHAPE), x_test=bytes_of(4, *SHAPE), **names)


def sounds_npz():
    """Sequences of floats, as a sound is one."""
    samples = np.random.default_rng(0).standard_normal((10, 1, 40)).astype(np.float32)
    return npz(x_train=samples[:6], x_test=samples[6:], y_train=np.arange(6), y_test=np.arange(4))


INPUTS = {"left": SHAPE, "right": (1, 1, 40)}


def inputs_npz():
    """A data set of a network with two inputs."""
    arrays = {
        f"x_{split}.{name}": bytes_of(n, *shape)
        for split, n in (("train", 6), ("test", 4))
        for name, shape in INPUTS.items()
    }
    return npz(y_train=np.arange(6) % 3, y_test=np.arange(4) % 3, **arrays)


def named_npz():
    """Images of a network with two inputs."""
    return npz(left=bytes_of(3, *SHAPE), right=bytes_of(3, 1, 1, 40))


def mnist_npz():
    return npz(
        x_train=bytes_of(4, 28, 28),
        y_train=np.arange(4),
        x_test=bytes_of(3, 28, 28),
        y_test=np.arange(3),
    )


def jpeg_pack():
    files = [picture("JPEG", (32, 32)) for _ in range(4)]
    header = files[0][: files[0].index(b"\xff\xda")]
    bodies = [file[len(header) : -2] for file in files]
    return npz(
        header=np.frombuffer(header, np.uint8),
        length=np.array([len(body) for body in bodies]),
        data=np.frombuffer(b"".join(bodies), np.uint8),
        y_train=np.arange(3),
        y_test=np.arange(1),
    )


def cifar_binary():
    return b"".join(bytes([i]) + bytes_of(i + 1, 3072)[i].tobytes() for i in range(3))


def cifar_python():
    return pickle.dumps({b"data": bytes_of(3, 3072), b"labels": [1, 2, 3]}, protocol=2)


def imagenet_tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for split in ("train", "val"):
            for name in ("a", "b"):
                entry = tarfile.TarInfo(f"{split}/{name}/0.png")
                data = picture()
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def annotation():
    box = "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
    item = f"<object><name>cat</name><bndbox>{box}</bndbox></object>"
    return f"<annotation>{item}{item}</annotation>".encode()


def weights():
    torch.manual_seed(0)
    state = torch.nn.Linear(4, 3).state_dict()
    return save(state, {"model": '"m"', "dataset": '"d"', "recipe": '{"epochs": 3}'})


def tables_json():
    return json.dumps({"conv": "rd20", "dense": list(range(256))}).encode()


@functools.cache
def archive():
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU()).eval()
    stream = io.BytesIO()
    torch.export.save(torch.export.export(net, (torch.zeros(1, 1, 4, 4),)), stream)
    return stream.getvalue()


@functools.cache
def onnx_file():
    from tests.support.onnx_nets import residual

    return residual("float")[0].SerializeToString()


@functools.cache
def onnx_of_inputs(form="float"):
    """A file with two inputs."""
    from tests.support.onnx_nets import two_input_net

    return two_input_net(form, ONNX_INPUTS).SerializeToString()


ONNX_INPUTS = {"left": (2, 6, 6), "right": (3,)}
LAYERS = [
    SimpleNamespace(name=name, bits=8, is_signed=False, limits=(0, 255))
    for name in ("conv", "dense", "last")
]
NETWORK = SimpleNamespace(layers=LAYERS, input_bits=8, input_signed=True, input_limits=(-127, 127))


@functools.cache
def program_files():
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        save_program(conv_chain_program()[0], Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def in_program(name):
    """Reads the program of which one file is the damaged one."""

    def read(path):
        folder = path.parent / "program"
        folder.mkdir(exist_ok=True)
        for other, data in program_files().items():
            (folder / other).write_bytes(path.read_bytes() if other == name else data)
        load_program(folder)

    return read


def in_folder(name, dataset, shape=(3, 32, 32)):
    """Reads a data set of which one file is the damaged one."""

    def read(path):
        folder = path.parent / f"set with {path.name}"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(path.read_bytes())
        load_dataset(dataset, shape, folder)

    return read


# Name of the file, its right contents, and what reads it.
READERS = {
    "images.npy": (images_npy, lambda path: read_images(path)),
    "images.npz": (images_npz, lambda path: read_images(path)),
    "arrays.npz": (arrays_npz, lambda path: load_arrays(path, SHAPE)),
    "sounds.npz": (sounds_npz, lambda path: load_arrays(path, (1, 1, 40))),
    "inputs.npz": (inputs_npz, lambda path: load_inputs(path, INPUTS, None, None)),
    "named.npz": (named_npz, lambda path: read_images(path, tuple(INPUTS))),
    "mnist.npz": (mnist_npz, in_folder("mnist.npz", "mnist", (1, 28, 28))),
    "pack.npz": (jpeg_pack, in_folder("cifar10_jpeg.npz", "cifar10")),
    "batch.bin": (cifar_binary, in_folder("test_batch.bin", "cifar10")),
    "batch": (cifar_python, in_folder("test_batch", "cifar10")),
    "imagenet.tar": (imagenet_tar, in_folder("imagenet.tar", "imagenet", SHAPE)),
    "box.xml": (annotation, lambda path: read_annotation(path.read_bytes(), str(path))),
    "weights.safetensors": (weights, read_checkpoint),
    "plain.safetensors": (weights, lambda path: load_weights(torch.nn.Linear(4, 3), path)),
    "tables.json": (tables_json, lambda path: find_tables(NETWORK, read_tables(str(path)))),
    "report.json": (lambda: json.dumps(rtl_report()).encode(), read_report),
    "program.json": (lambda: program_files()["program.json"], in_program("program.json")),
    "memories.npz": (lambda: program_files()["memories.npz"], in_program("memories.npz")),
    "quantized.npz": (lambda: b"", load_quantized),
    "net.pt2": (archive, read_model),
    "net.onnx": (onnx_file, read_model),
    "inputs.onnx": (onnx_of_inputs, read_model),
    **{
        f"picture.{kind.lower()}": (
            functools.partial(picture, kind),
            lambda path: fill(decode(path.read_bytes(), str(path), 3), 16, 16),
        )
        for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
    },
}


@pytest.mark.medium
@pytest.mark.parametrize("name", READERS)
def test_any_damage_is_read_or_said(name, tmp_path, rng):
    make, read = READERS[name]
    data, path, trace = make(), tmp_path / name, tmp_path / "trace"
    if data:
        path.write_bytes(data)
        read(path)
    said = []
    for what, broken in (*damages(data, rng, 21 * bool(data)), *foreign(trace)):
        path.write_bytes(broken)
        said.append(check_reading(lambda: read(path), f"{name}: {what}"))
    assert not trace.exists()
    assert sum(message is not None for message in said) >= 10
    assert all(len(message) < 1000 for message in said if message)


@pytest.mark.medium
@pytest.mark.parametrize("name", [name for name in READERS if name.endswith(".npz")][:-1])
def test_archives_of_arrays_with_one_entry_wrong(name, tmp_path, rng):
    make, read = READERS[name]
    path, trace = tmp_path / name, tmp_path / "trace"
    refused = 0
    for what, broken in npz_damages(make(), rng, trace):
        path.write_bytes(broken)
        refused += check_reading(lambda: read(path), f"{name}: {what}") is not None
    assert not trace.exists()
    assert refused >= 20


@pytest.mark.medium
@pytest.mark.parametrize("name", ["images.npy", "arrays.npy"])
def test_arrays_that_claim_what_is_not_there(name, tmp_path):
    path, trace = tmp_path / name, tmp_path / "trace"
    read = read_images if name == "images.npy" else load_arrays
    for what, broken in npy_damages(trace):
        path.write_bytes(broken)
        said = check_reading(lambda: read(path), what)
        assert said is not None or what in ("|S1 ()",), what
    assert not trace.exists()


@pytest.mark.parametrize("name", ["tables.json", "report.json"])
def test_json_with_one_part_wrong(name, tmp_path, rng):
    make, read = READERS[name]
    path = tmp_path / name
    for what, text in json_damages(json.loads(make()), rng):
        path.write_text(text)
        check_reading(lambda: read(path), f"{name}: {what}")


@pytest.mark.medium
@pytest.mark.parametrize("form", ["float", "qdq", "qonnx"])
def test_onnx_files_of_several_inputs_with_one_field_wrong(form, tmp_path, rng):
    path, refused = tmp_path / "net.onnx", 0
    path.write_bytes(onnx_of_inputs(form))
    assert [part.name for part in read_model(path).parts] == list(ONNX_INPUTS)
    for what, broken in onnx_damages(onnx_of_inputs(form), rng, 12):
        path.write_bytes(broken)
        refused += check_reading(lambda: read_model(path), f"{form}: {what}") is not None
    assert refused >= 3


def _exchanged(model):
    """The inputs in the other order: another file, and a right one."""
    for value in list(model.graph.input)[::-1]:
        model.graph.input.append(value)
    del model.graph.input[: len(ONNX_INPUTS)]


def _sizes_of_left(*sizes):
    def make(model):
        dimensions = model.graph.input[0].type.tensor_type.shape.dim
        del dimensions[1:]
        for size in sizes:
            dimensions.add(dim_value=size)

    return make


WRONG_INPUTS = {
    "one left out": lambda model: model.graph.input.pop(),
    "one there twice": lambda model: model.graph.input.append(model.graph.input[1]),
    "two of one name": lambda model: setattr(model.graph.input[1], "name", "left"),
    "one that no node takes": lambda model: setattr(model.graph.input[1], "name", "other"),
    "one without a name": lambda model: setattr(model.graph.input[1], "name", ""),
    "one without a type": lambda model: model.graph.input[0].ClearField("type"),
    "one of text": lambda model: setattr(model.graph.input[1].type.tensor_type, "elem_type", 8),
    "one that is a list": lambda model: model.graph.input[0].type.sequence_type.SetInParent(),
    "no sizes": _sizes_of_left(),
    "too many sizes": _sizes_of_left(2, 6, 6, 6),
    "a size of none": _sizes_of_left(2, 0, 6),
    "a size below none": _sizes_of_left(2, -6, 6),
    "a size beyond all memory": _sizes_of_left(2, 1 << 40, 1 << 40),
    "sizes of another input": _sizes_of_left(3),
    "channels that no weight has": _sizes_of_left(5, 6, 6),
}


@pytest.mark.medium
@pytest.mark.parametrize("form", ["float", "qdq", "qonnx"])
def test_onnx_files_with_one_input_wrong_are_refused(form, tmp_path):
    from onnx import ModelProto

    path = tmp_path / "net.onnx"
    model = ModelProto.FromString(onnx_of_inputs(form))
    _exchanged(model)
    path.write_bytes(model.SerializeToString())
    assert [part.name for part in read_model(path).parts] == ["right", "left"]
    for what, damage in WRONG_INPUTS.items():
        model = ModelProto.FromString(onnx_of_inputs(form))
        damage(model)
        path.write_bytes(model.SerializeToString())
        said = check_reading(lambda: read_model(path), f"{form}: {what}")
        assert said is not None, f"{form}: {what}"


METADATA = ("[" * 200_000, "{", "9" * 5000, "NaN", '"\\ud800"', "[[1]]", "null", "")


@pytest.mark.parametrize("text", METADATA, ids=range(len(METADATA)))
def test_metadata_of_weights(text, tmp_path):
    path = tmp_path / "w.safetensors"
    state = {"weight": torch.zeros(3, 4), "bias": torch.zeros(3)}
    path.write_bytes(save(state, {"model": '"m"', "dataset": text}))
    check_reading(lambda: read_checkpoint(path), text[:20])
    load_weights(torch.nn.Linear(4, 3), path)


def test_types_of_weights(tmp_path):
    path = tmp_path / "w.safetensors"
    for kind in (torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.complex64):
        state = {"weight": torch.ones(3, 4).to(kind), "bias": torch.ones(3).to(kind)}
        path.write_bytes(save(state, {"model": '"m"', "dataset": '"d"'}))
        for read in (read_checkpoint, lambda at: load_weights(torch.nn.Linear(4, 3), at)):
            said = check_reading(lambda read=read: read(path), str(kind))
            assert (said is not None) == (kind == torch.complex64), kind
    state = {"weight": torch.full((3, 4), torch.nan).to(torch.float8_e4m3fn)}
    path.write_bytes(save({**state, "bias": torch.ones(3)}, {"model": '"m"', "dataset": '"d"'}))
    assert "NaN" in check_reading(lambda: read_checkpoint(path), "NaN")


def test_pickles_that_grow(tmp_path):
    """A list that holds the one before twice, and a place to remember far away."""
    doubled = b"]q\x00" + b"".join(
        b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(60)
    )
    pixels = pickle.dumps(bytes_of(1, 3072), protocol=2)[2:-1]
    in_batch = doubled + b"0" * 61 + b"}(U\x04data" + pixels + b"U\x06labelsh\x3cu."
    pickles = {
        "a list must be a dictionary": b"\x80\x02" + doubled + b".",
        "one integer label per image": b"\x80\x02" + in_batch,
        "far": b"\x80\x02]r\xf0\xff\xff\x7f.",
        "must hold only": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
    }
    read, path = in_folder("test_batch", "cifar10"), tmp_path / "batch"
    for what, data in pickles.items():
        path.write_bytes(data)
        said = check_reading(lambda: read(path), what)
        wanted = "must be a dictionary" if "dict" in what or what == "far" else what
        assert wanted in said, said


@pytest.mark.medium
@pytest.mark.parametrize("size", [(1, 3_000_000), (3_000_000, 1), (60_000, 3)])
def test_pictures_of_extreme_sides_take_little(size, tmp_path):
    stream = io.BytesIO()
    Image.new("L", size, 200).save(stream, "PNG")

    def read():
        planes = fill(decode(stream.getvalue(), "long.png", 3), 224, 224)
        assert planes.shape == (3, 224, 224)
        assert (planes == 200).all()

    assert check_reading(read, str(size)) is None


def test_pictures_that_claim_gigapixels_are_refused_before_they_are_decoded(tmp_path):
    png = bytearray(picture("PNG"))
    png[16:24] = struct.pack(">II", 60_000, 60_000)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    said = check_reading(lambda: decode(bytes(png), "bomb.png", 3), "bomb.png")
    assert said.startswith("bomb.png: must be a picture; the decoder says ")
    pack = dict(np.load(io.BytesIO(jpeg_pack())))
    header = bytearray(pack["header"].tobytes())
    at = header.index(b"\xff\xc0")
    header[at + 5 : at + 9] = struct.pack(">HH", 9000, 9000)
    pack["header"] = np.frombuffer(bytes(header), np.uint8)
    path = tmp_path / "pack.npz"
    path.write_bytes(npz(**pack))
    said = check_reading(lambda: in_folder("cifar10_jpeg.npz", "cifar10")(path), "pack")
    assert "image 0: must be 32 x 32 pixels; 9000 x 9000 came" in said


def test_an_archive_that_is_cut_is_not_a_smaller_set(tmp_path):
    """Between two files a tar archive has no mark: only its end says that it is whole."""
    data, path = imagenet_tar(), tmp_path / "imagenet.tar"
    read = in_folder("imagenet.tar", "imagenet", SHAPE)
    for n in range(512, len(data), 512):
        rest = data[n:]
        path.write_bytes(data[:n])
        said = check_reading(lambda: read(path), f"cut at {n}")
        if any(rest) or len(data) - n == len(data.rstrip(b"\0")):
            assert said is not None, n
            assert "imagenet.tar: must be a" in said or "must hold" in said, said


def test_links_and_folders_in_the_place_of_files(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, (_, read) in READERS.items():
        for place in (loop, folder, tmp_path / "none" / name, tmp_path / ("n" * 300)):
            if name not in ("mnist.npz", "pack.npz", "batch.bin", "batch", "imagenet.tar"):
                said = check_reading(lambda read=read, place=place: read(place), name)
                assert said is not None, (name, place)


BY_NAME = ("images.npy", "arrays.npz", "weights.safetensors", "plain.safetensors", "tables.json")
BY_NAME += ("report.json", "net.pt2", "net.onnx", "quantized.npz")


@pytest.mark.parametrize("name", BY_NAME)
def test_what_may_never_end_is_not_read(name, tmp_path):
    """A pipe without a writer, a device that gives zeros."""
    pipe = tmp_path / name
    os.mkfifo(pipe)
    _, read = READERS[name]
    for place in (pipe, Path("/dev/zero")):
        assert check_reading(lambda place=place: read(place), name) is not None


@pytest.mark.parametrize("name", ["program.json", "memories.npz", "manifest.json"])
def test_pipes_in_a_saved_folder_are_not_read(name, tmp_path):
    read = read_manifest if name == "manifest.json" else load_program
    for other, data in program_files().items():
        (tmp_path / other).write_bytes(data)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    assert "no regular file" in check_reading(lambda: read(tmp_path), name)


@pytest.mark.medium
@pytest.mark.parametrize("raw", [b"caf\xe9", b"\xff\xfe", "ä ü".encode(), b"n" * 200])
def test_names_that_are_no_text(raw, tmp_path):
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/" + raw))
    folder.mkdir()
    for name, (make, read) in READERS.items():
        if make():
            (folder / name).write_bytes(make())
            assert check_reading(lambda read=read, name=name: read(folder / name), name) is None
            (folder / name).write_bytes(b"damage")
            said = check_reading(lambda read=read, name=name: read(folder / name), name)
            assert said is not None, name


def test_zip_entries_that_lead_out_of_a_folder_are_no_files(tmp_path):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }"
    parts = {"../escape.npy": npy_bytes(header)}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data + b"x")
    path = tmp_path / "in" / "x.npz"
    path.parent.mkdir()
    path.write_bytes(stream.getvalue())
    read_images(path)
    assert not (tmp_path / "escape.npy").exists()
