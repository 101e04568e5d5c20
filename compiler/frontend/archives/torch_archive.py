# SPDX-License-Identifier: Apache-2.0
"""A program of ``torch.export.save`` from its file: graph and raw tensors, nothing else.

====================  ==============================================================
part of the archive   what becomes of it
====================  ==============================================================
models/NAME.json      the graph: read as JSON, checked by :mod:`.clean`, rebuilt
data/weights,         raw tensors: bytes with sizes and strides; one that is pickled
data/constants        is refused
data/sample_inputs    always pickled by torch: never read
data/aotinductor      compiled libraries: refused
extra/input           text of the input, which :mod:`stemcore.models.stated_input` reads
all other             never read
====================  ==============================================================
"""

import importlib
import json
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import torch

from ...errors import CaptureError
from .clean import clean_attribute, clean_program, clean_tensor_meta
from .clean_values import Refused

MAX_JSON = 1 << 28  # bytes; a network of a thousand layers has some megabytes
_AGAIN = f"export the model again with torch.export.save of torch {torch.__version__}"
_OLD_FORM = {"serialized_exported_program.json", "serialized_state_dict.pt"}


def load_program(path: Path) -> torch.export.ExportedProgram:
    """The exported program of an archive. Nothing that stands in it is executed or unpickled.

    Raises ``CaptureError`` for other files, and for archives with parts that torch could only read
    by running them.
    """
    where = str(path)
    if not path.is_file():
        raise CaptureError(where, "the archive must exist, nothing is there", "check the path")
    _register_quantized_operators()
    try:
        with zipfile.ZipFile(path) as archive:
            parts = _parts(archive, path, where)
            name = _model_name(parts, where)
            document = clean_program(_json(archive, parts[f"models/{name}.json"], where))
            weights = _tensors(archive, parts, "weights", name, where)
            constants = _tensors(archive, parts, "constants", name, where)
        return _rebuild(document, weights, constants)
    except CaptureError:
        raise
    except Refused as refused:
        raise CaptureError(where, str(refused), _AGAIN) from refused
    except Exception as error:  # of any kind: the file may hold anything
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise CaptureError(
            where, f"must be an archive of torch.export.save; reading it gave {reason}", _AGAIN
        ) from error


def _register_quantized_operators() -> None:
    """Make the operators of quantized graphs known: an archive names them and does not bring them.

    A quantization library that is already imported has done so itself, and twice is an error.
    """
    if not hasattr(torch.ops.quantized_decomposed, "quantize_per_tensor"):
        importlib.import_module("torch.ao.quantization.fx._decomposed")


def _parts(archive: zipfile.ZipFile, path: Path, where: str) -> dict[str, zipfile.ZipInfo]:
    """Entries by name without the folder that torch puts around all of them."""
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CaptureError(where, "parts must be stored as they are, some are compressed", _AGAIN)
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CaptureError(where, "parts must not be larger than the file, they are", _AGAIN)
    names = [entry.filename for entry in entries]
    plain = [name.partition("/")[2] or name for name in names]
    if len(set(plain)) != len(plain):
        raise CaptureError(where, "every part must be there once, some are twice", _AGAIN)
    if _OLD_FORM & {*names, *plain}:
        _refuse(where, "is of the form before torch 2.8, whose weights are pickled Python objects")
    if any(name.startswith("data/aotinductor/") for name in plain):
        _refuse(where, "holds compiled libraries (AOTInductor), which are machine code")
    return dict(zip(plain, entries, strict=True))


def _refuse(where: str, what: str) -> NoReturn:
    raise CaptureError(where, f"the archive {what}; nothing in an archive is executed", _AGAIN)


def _model_name(parts: dict[str, zipfile.ZipInfo], where: str) -> str:
    models = [name for name in parts if name.startswith("models/")]
    if len(models) != 1 or not models[0].endswith(".json"):
        raise CaptureError(
            where, f"must be an archive of torch.export.save with one model, has {len(models)}"
        )
    return models[0].removeprefix("models/").removesuffix(".json")


def _json(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str) -> Any:
    if entry.file_size > MAX_JSON:
        raise CaptureError(
            where, f"its texts must be at most {MAX_JSON} bytes, {entry.filename} has more", _AGAIN
        )
    try:
        return json.loads(archive.read(entry))
    except RecursionError as error:
        raise Refused(f"{entry.filename} is nested too deep") from error


def _tensors(
    archive: zipfile.ZipFile, parts: dict[str, zipfile.ZipInfo], kind: str, name: str, where: str
) -> dict[str, torch.Tensor]:
    """Weights or constants by their paths in the model; those that share memory go on sharing."""
    from torch._export.serde import serialize

    folder = f"data/{kind}/"
    entry = parts.get(f"{folder}{name}_{kind}_config.json")
    if entry is None:
        _refuse(where, f"has no list of raw {kind}: those of older releases are pickled")
    config = _json(archive, entry, where)["config"]
    storages: dict[str, bytearray] = {}
    tensors: dict[str, torch.Tensor] = {}
    for fqn, payload in config.items():
        part, meta = payload["path_name"], payload.get("tensor_meta")
        if payload.get("use_pickle") is not False or meta is None:
            _refuse(where, f"has {kind} that are pickled Python objects, {fqn[:60]!r} first")
        if part not in storages:
            storages[part] = bytearray(archive.read(parts[folder + part]))
        clean = clean_tensor_meta(meta)
        dtype = serialize._SERIALIZE_TO_TORCH_DTYPE[clean["dtype"]]
        tensor = _tensor(storages[part], dtype, clean, fqn)
        if payload.get("is_param") is True:
            needs_grad = clean["requires_grad"] and tensor.is_floating_point()
            tensor = torch.nn.Parameter(tensor, requires_grad=needs_grad)
        tensors[clean_attribute(fqn)] = tensor
    return tensors


def _tensor(data: bytearray, dtype: torch.dtype, meta: dict[str, Any], name: str) -> torch.Tensor:
    try:
        sizes, strides = ([size["as_int"] for size in meta[key]] for key in ("sizes", "strides"))
        offset = meta["storage_offset"]["as_int"]
    except KeyError as error:
        raise Refused(f"{name[:60]!r} must have sizes that are numbers") from error
    flat = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
    if offset < 0 or min(strides, default=0) < 0:
        raise Refused(f"{name[:60]!r} must not begin before its bytes")
    last = offset + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    if 0 not in sizes and last >= len(flat):
        raise Refused(f"{name[:60]!r} needs {last + 1} elements, {len(flat)} are there")
    return torch.as_strided(flat, sizes, strides, offset)


def _rebuild(
    document: dict[str, Any], weights: dict[str, torch.Tensor], constants: dict[str, torch.Tensor]
) -> torch.export.ExportedProgram:
    from torch._export.serde import schema, serialize

    to_record: Any = serialize._dict_to_dataclass
    program = to_record(schema.ExportedProgram, document)
    reader = serialize.ExportedProgramDeserializer()
    return reader.deserialize(program, weights, constants, None)
