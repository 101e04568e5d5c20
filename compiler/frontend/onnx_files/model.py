# SPDX-License-Identifier: Apache-2.0
"""An ONNX file as plain nodes and arrays; what it may not hold is refused here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.extras import require_extra

from ...errors import CaptureError

QONNX_DOMAINS = {"qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas"}
OWN_DOMAINS = {"", "ai.onnx", *QONNX_DOMAINS}
_OLDEST = 9  # before, some operators took from attributes what they have as inputs now
# Elements of inputs; integers are what a Cast behind them makes numbers of.
_INPUT_TYPES = (
    *("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16"),
    *("UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64"),
)


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """One operator: its name, type, attributes by name, names of inputs (empty: left out) and
    outputs; whether it is a loop or a branch, with graphs of its own."""

    name: str
    kind: str
    attributes: dict[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    has_graphs: bool


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A network: sizes of its inputs, without the batch, by name in order; the batch (None: any);
    constants by name; nodes in order; names of the outputs; version of the operator set."""

    inputs: dict[str, tuple[int, ...]]
    batch: int | None
    constants: dict[str, NDArray[Any]]
    nodes: tuple[OnnxNode, ...]
    outputs: tuple[str, ...]
    opset: int


def read_onnx(path: Path) -> OnnxModel:
    """The model of a file. ``CaptureError`` for files that hold something else.

    Functions of the model are taken apart into their nodes. Nothing in the file is executed.
    """
    require_extra("onnx", f"reading {path.name}")
    import onnx
    import onnx.checker
    import onnx.inliner

    where = str(path)
    if not path.is_file():
        raise CaptureError(where, "the file must exist, nothing is there", "check the path")
    try:
        proto = onnx.load(path)
        if proto.functions:
            proto = onnx.inliner.inline_local_functions(proto)
        versions = {entry.domain: entry.version for entry in proto.opset_import}
        if set(versions) <= OWN_DOMAINS - QONNX_DOMAINS:
            onnx.checker.check_model(proto)
        constants = {
            tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer
        }
    except Exception as error:  # of any kind: the file may hold anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CaptureError(
            where, f"must be an ONNX model; reading it gave {reason}", "export the model again"
        ) from error
    opset = versions.get("", versions.get("ai.onnx", 0))
    if opset < _OLDEST:
        raise CaptureError(
            where,
            f"its operator set must be {_OLDEST} or later, is {opset}",
            "convert it with onnx.version_converter.convert_version(model, 17)",
        )
    inputs = [value for value in proto.graph.input if value.name not in constants]
    if not inputs:
        raise CaptureError(
            where, "the network must have an input, has none", "export it with an image batch"
        )
    found = {value.name: _sizes(value, where) for value in inputs}
    if len(found) < len(inputs):
        names = [value.name for value in inputs]
        twice = next(name for name in names if names.count(name) > 1)
        raise CaptureError(
            where,
            f"each input must have a name of its own; {twice!r} came {names.count(twice)} times",
            "export it again with a name for each input",
        )
    batches = {batch for batch, _ in found.values()}
    if len(batches) > 1:
        came = ", ".join(f"{name} {batch or 'any'}" for name, (batch, _) in found.items())
        raise CaptureError(
            where,
            f"all inputs must have one batch size, or any; {came} came",
            "export with a dynamic batch dimension of all inputs",
        )
    return OnnxModel(
        {name: sizes for name, (_, sizes) in found.items()},
        batches.pop(),
        constants,
        tuple(_node(node, number) for number, node in enumerate(proto.graph.node)),
        tuple(value.name for value in proto.graph.output),
        opset,
    )


def _sizes(value: Any, where: str) -> tuple[int | None, tuple[int, ...]]:
    """Batch and sizes of the input, which must be of numbers."""
    from onnx import TensorProto

    kind = value.type.tensor_type.elem_type
    if kind not in {getattr(TensorProto, name) for name in _INPUT_TYPES}:
        known = TensorProto.DataType.values()
        came = TensorProto.DataType.Name(kind) if kind in known else f"type {kind}"
        raise CaptureError(
            where,
            f"the input {value.name} must be of one of the types {', '.join(_INPUT_TYPES)}; "
            f"{came} came",
            "export it with an input of floating point numbers",
        )
    dimensions = [
        d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim
    ]
    batch, sizes = (dimensions[0], dimensions[1:]) if dimensions else (None, [])
    if not 1 <= len(sizes) <= 3 or any(size is None or size < 1 for size in sizes):
        raise CaptureError(
            where,
            f"the input {value.name} must have the shape (N, C, H, W), (N, C, L) or (N, F) with "
            f"all sizes but N fixed, has {dimensions}",
            "export with a dynamic batch dimension at most",
        )
    return batch or None, tuple(int(size or 0) for size in sizes)


def _node(node: Any, number: int) -> OnnxNode:
    import onnx

    attributes = {
        attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute
    }
    for name, value in attributes.items():
        if isinstance(value, bytes):
            attributes[name] = value.decode("utf-8", "replace")
        elif isinstance(value, onnx.TensorProto):
            attributes[name] = np.asarray(onnx.numpy_helper.to_array(value))
    has_graphs = any(a.type in {a.GRAPH, a.GRAPHS} for a in node.attribute)
    known = node.domain in OWN_DOMAINS
    kind = node.op_type if known else f"{node.domain}.{node.op_type}"
    name = node.name or f"{node.op_type}_{number}"
    return OnnxNode(name, kind, attributes, tuple(node.input), tuple(node.output), has_graphs)
