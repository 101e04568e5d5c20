# SPDX-License-Identifier: Apache-2.0
"""An ONNX model as a torch module that computes the same, to be captured like any other."""

import importlib
import re
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ...errors import CaptureError, CompatibilityError, Problem
from ..capture import capture
from ..capture_moves import EXAMPLE_IMAGES
from ..graph import Graph
from ..ops.fake_quantize import REQUANTIZE
from ..ops.input_part import ReadInput
from ..ops.operator import Unsupported
from .model import OnnxModel, OnnxNode
from .torch_ops import OPERATIONS
from .torch_values import Refused, Value, Weights, array_of, tensor_of

_ALWAYS = {"Constant", "Shape"}  # give constants, whatever they read
_GROWING = {"ConstantOfShape", "Expand", "Tile", "Range", "Resize", "Pad", "OneHot"}
MAX_ELEMENTS = 1 << 28  # of a constant
# Operators whose operands are integers: what ONNX Runtime calls the format QOperator.
_ON_INTEGERS = re.compile(
    r"(com\.microsoft\.)?(QLinear|QGemm|QAttention|DynamicQuantize)|(Conv|MatMul)Integer"
)
_AS_QDQ = (
    "export it in the format QDQ: quantize_static(.., quant_format=QuantFormat.QDQ, "
    "activation_type=QuantType.QInt8, extra_options={'ActivationSymmetric': True, "
    "'WeightSymmetric': True}) of ONNX Runtime"
)
_SYMMETRIC = (
    "quantize with zero-point 0: in ONNX Runtime quantize_static(.., "
    "activation_type=QuantType.QInt8, extra_options={'ActivationSymmetric': True, "
    "'WeightSymmetric': True}); in torch as StemQuantizer of stemcore.pt2e does"
)
_FOLDED = {"QuantizeLinear", "DequantizeLinear", "Quant", "Clip", "Transpose", "Identity"}


class OnnxNetwork(nn.Module):
    """Computes an ONNX model node by node.

    Sizes and weights are known while torch traces it: what does not depend on the input is computed
    by ONNX's reference implementation and is a constant.
    """

    def __init__(self, model: OnnxModel) -> None:
        super().__init__()
        self.model = model
        self.steps = nn.ModuleDict()
        self._names: dict[int, str] = {}
        for number, node in enumerate(model.nodes):
            name = re.sub(r"\W+", "_", node.name).strip("_") or node.kind
            while name in self.steps or hasattr(self, name):
                name += "_"
            self.steps[name] = _Step(node, model.opset)
            self._names[number] = name

    def forward(self, *images: torch.Tensor) -> Any:
        """The outputs for images (N, ..) of every input: one tensor, or a tuple."""
        given = dict(zip(self.model.inputs, images, strict=True))
        values: dict[str, Value] = {**self.model.constants, "": None, **given}
        for number, node in enumerate(self.model.nodes):
            made = self.steps[self._names[number]]([values[name] for name in node.inputs])
            results = made if isinstance(made, tuple) else (made,)
            values.update(zip(node.outputs, results, strict=False))
        outputs = tuple(tensor_of(values[name]) for name in self.model.outputs)
        return outputs if len(outputs) > 1 else outputs[0]


class _Step(nn.Module):
    """One node."""

    def __init__(self, node: OnnxNode, opset: int) -> None:
        super().__init__()
        self.node, self.opset = node, opset

    def forward(self, inputs: list[Value]) -> Any:
        node = self.node
        try:
            if node.kind == "Shape" and isinstance(inputs[0], torch.Tensor):
                return np.array(inputs[0].shape, np.int64)
            if self._is_constant(inputs):
                return self._folded(inputs)
            own = {"_kind": node.kind, "_outputs": len(node.outputs)}
            return OPERATIONS[node.kind]({**node.attributes, **own}, inputs)
        except Refused as refused:
            raise CaptureError(node.name, f"{node.kind} {refused}", "") from refused

    def _is_constant(self, inputs: list[Value]) -> bool:
        given = [value for value in inputs if value is not None]
        is_plain = all(isinstance(value, np.ndarray | Weights) for value in given)
        has_scales = self.node.kind in _FOLDED and (
            self.node.kind not in {"Clip", "Transpose", "Identity"}
            or any(isinstance(value, Weights) for value in given)
        )
        return is_plain and not has_scales

    def _folded(self, inputs: list[Value]) -> Any:
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        node = self.node
        arrays = [None if value is None else array_of(value, "an input") for value in inputs]
        if node.kind in _GROWING and max(map(_asked_for, arrays)) > MAX_ELEMENTS:
            raise Refused("makes a constant of more elements than any weight has")
        feeds = {
            name: array
            for name, array in zip(node.inputs, arrays, strict=True)
            if name and array is not None
        }
        attributes = {name: _attribute(value) for name, value in node.attributes.items()}
        proto = helper.make_node(node.kind, node.inputs, node.outputs, **attributes)
        graph = helper.make_graph(
            [proto],
            "constant",
            [
                helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
                for n, a in feeds.items()
            ],
            [
                helper.make_value_info(name, helper.make_tensor_type_proto(0, None))
                for name in node.outputs
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        results = ReferenceEvaluator(model).run(None, feeds)
        return tuple(np.asarray(result) for result in results)


def _asked_for(array: Any) -> float:
    """Elements of a tensor whose sizes, or repetitions, an array names."""
    if array is None or array.dtype.kind not in "iu" or array.size > 16:
        return 0.0
    return float(np.prod(np.maximum(np.abs(array.astype(np.float64)), 1)))


def _attribute(value: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value


def capture_onnx(model: OnnxModel, name: str) -> Graph:
    """The graph of a model, as :func:`stemcore.compiler.frontend.capture.capture` makes it.

    Raises ``CompatibilityError`` with every operator that is not known, else ``CaptureError``.
    """
    known = OPERATIONS.keys() | _ALWAYS
    problems = [
        Problem(
            node.name,
            f"the ONNX operator {node.kind} has no spiking form",
            _AS_QDQ
            if _ON_INTEGERS.match(node.kind)
            else "replace it by supported layers, or end the network before it",
        )
        for node in model.nodes
        if node.has_graphs or (node.kind not in known and not _reads_constants(node, model))
    ]
    if problems:
        raise CompatibilityError(name, problems)
    if not hasattr(torch.ops.quantized_decomposed, "quantize_per_tensor"):
        importlib.import_module("torch.ao.quantization.fx._decomposed")
    n_images = model.batch or EXAMPLE_IMAGES
    examples = tuple(torch.zeros(n_images, *sizes) for sizes in model.inputs.values())
    try:
        with torch.no_grad():
            program = torch.export.export(OnnxNetwork(model).eval(), examples, strict=False)
    except CaptureError as error:
        raise _of_runtime(error) from None
    except Exception as error:  # of any kind: torch raises what an operator raises
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        problem = f"its operators must fit the shapes of what they read; {reason}"
        raise CaptureError(name, problem, "export it again") from error
    try:
        graph = capture(program, None, name)
    except CaptureError as error:
        raise _of_runtime(error) from None
    nodes = tuple(
        replace(node, op=replace(node.op, remedy=_SYMMETRIC))
        if isinstance(node.op, Unsupported) and node.op.remedy == REQUANTIZE
        else node
        for node in graph.nodes
    )
    return _renamed(replace(graph, nodes=nodes), tuple(model.inputs))


def _of_runtime(error: CaptureError) -> CaptureError:
    """The error with the way out that ONNX Runtime has, where one in torch was named."""
    if error.remedy != REQUANTIZE:
        return error
    return CaptureError(error.where, error.problem, _SYMMETRIC)


def _reads_constants(node: OnnxNode, model: OnnxModel) -> bool:
    """Whether a node certainly depends on constants alone."""
    return all(name in model.constants for name in node.inputs if name)


def _renamed(graph: Graph, inputs: tuple[str, ...]) -> Graph:
    """Nodes and several inputs by the names that they have in the file, where these tell nodes
    apart."""
    short: dict[str, str] = {}
    taken: set[str] = set()
    names = iter(inputs)
    for node in graph.nodes:
        is_input = isinstance(node.op, ReadInput)
        name = next(names) if is_input else re.sub(r"^steps\.", "", node.name)
        plain = name.partition(".")[0]
        chosen = plain if plain not in taken else name
        while chosen in taken:
            chosen += "_"
        taken.add(chosen)
        short[node.name] = chosen
    nodes = tuple(
        replace(
            node,
            name=short[node.name],
            inputs=tuple(short.get(source, source) for source in node.inputs),
        )
        for node in graph.nodes
    )
    return replace(
        graph,
        nodes=nodes,
        output=short.get(graph.output, graph.output),
        results=graph.results.with_sources(lambda name: short.get(name, name)),
        parts=tuple(
            replace(part, name=name) for part, name in zip(graph.parts, inputs, strict=False)
        ),
    )
