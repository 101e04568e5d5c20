# SPDX-License-Identifier: Apache-2.0
"""Reads a torch module into the IR, through ``torch.export``."""

import operator
import re
import warnings
from typing import Any

import torch

from stemcore.golden.network.network import INPUT

from ..errors import CaptureError
from .fx import OpContext, is_shared_view, layer_name, value_shape
from .graph import Graph, Node, check_graph
from .ops.operator import Shape, Unsupported
from .run_graph import run_graph
from .translate import IN_PLACE, translate

QUANTIZED = re.compile(r"quantized_decomposed|quantize_affine|quantize_per_|^quantized\.")


def capture(
    model: "torch.nn.Module | torch.export.ExportedProgram",
    input_shape: tuple[int, int, int] | None = None,
    name: str = "network",
) -> Graph:
    """The float graph of a module in evaluation mode, or of an exported program.

    Operators without a spiking form become ``Unsupported`` nodes, so that the compatibility check
    can report all of them at once. Dropout and identities are gone.

    Parameters
    ----------
    model : torch.nn.Module or torch.export.ExportedProgram
        Takes one float tensor (N, C, H, W) and returns one tensor.
    input_shape : (C, H, W)
        May be left out for an exported program.
    name : str
        Of the network, for reports.

    Raises
    ------
    CaptureError
        Where the module cannot be exported, is in training mode, has more than one input or
        output, or is quantized already.
    """
    if isinstance(model, torch.nn.Module):
        if input_shape is None:
            raise CaptureError("capture", "a module needs input_shape=(C, H, W), none came")
        program = _export(model, input_shape)
    elif isinstance(model, torch.export.ExportedProgram):
        program = model
    else:
        raise CaptureError(
            "capture",
            "model must be a torch.nn.Module or torch.export.ExportedProgram, "
            f"got {type(model).__name__}",
        )
    _refuse_quantized(program)
    graph = check_graph(_read(program, input_shape, name))
    if isinstance(model, torch.nn.Module):
        _check_function(model, graph)
    return graph


def _export(module: torch.nn.Module, shape: Shape) -> torch.export.ExportedProgram:
    training = [name or "the module" for name, m in module.named_modules() if m.training]
    if training:
        raise CaptureError(
            training[0], "must be in evaluation mode, is in training mode", "call .eval() first"
        )
    _check_shape("capture", shape)
    failure: Exception | None = None
    # Two images show that the batch stays a batch; some modules are written for one alone.
    for n_images in (2, 1):
        example = torch.zeros(n_images, *shape)
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # torch.export warns about its own internals
                return torch.export.export(module, (example,))
        except Exception as error:  # torch.export raises anything that the module raises
            failure = failure or error
    first_line = str(failure).strip().splitlines()[0] if str(failure).strip() else repr(failure)
    raise CaptureError(
        "capture",
        f"torch.export must accept the module with an input of shape (N, {shape[0]}, {shape[1]}, "
        f"{shape[2]}), it raised {type(failure).__name__}: {first_line}",
        "check the input shape; take data-dependent Python out of forward()",
    ) from failure


def _check_function(module: torch.nn.Module, graph: Graph) -> None:
    """The graph computes what the module computes, on one image of noise."""
    if any(isinstance(node.op, Unsupported) for node in graph.nodes):
        return
    noise = torch.rand(1, *graph.input_shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected = module(noise).flatten()
    got = run_graph(graph, noise)[graph.output].flatten()
    if not torch.isfinite(expected).all():
        return  # the compatibility check names the weights
    difference, largest = float((got - expected).abs().max()), float(expected.abs().max())
    if difference > 1e-3 * max(largest, 1e-3):
        raise CaptureError(
            "capture",
            "the captured graph must compute what the module computes, differs by "
            f"{difference:.3g} where outputs reach {largest:.3g}",
            "report the module; until then rewrite it with plain torch.nn layers",
        )


def _check_shape(where: str, shape: Any) -> None:
    sizes = tuple(shape)
    if len(sizes) != 3 or not all(isinstance(size, int) and size >= 1 for size in sizes):
        raise CaptureError(
            where, f"input_shape must be three positive sizes (C, H, W), got {shape}"
        )


def _refuse_quantized(program: torch.export.ExportedProgram) -> None:
    for node in program.graph.nodes:
        if node.op == "call_function" and QUANTIZED.search(str(node.target)):
            raise CaptureError(
                node.name,
                f"the graph must hold float operators, {node.target} says that it is quantized",
                "capture the float module; quantizing it is the compiler's work",
            )


def _read(
    program: torch.export.ExportedProgram, input_shape: Shape | None, graph_name: str
) -> Graph:
    signature = program.graph_signature
    if len(signature.user_inputs) != 1 or len(signature.user_outputs) != 1:
        raise CaptureError(
            "capture",
            "the network must have one input and one output, has "
            f"{len(signature.user_inputs)} and {len(signature.user_outputs)}",
            "wrap it in a module that takes one tensor and returns one",
        )
    context = OpContext(_constants(program), {INPUT})
    values: dict[str, str] = {}  # fx node to IR value
    nodes: list[Node] = []
    shape: Shape | None = None
    for fx_node in program.graph.nodes:
        if fx_node.op == "placeholder" and fx_node.name == signature.user_inputs[0]:
            shape = _image_shape(fx_node)
            if input_shape is not None and tuple(input_shape) != shape:
                raise CaptureError(
                    "capture", f"the program was exported for {shape}, got {tuple(input_shape)}"
                )
            values[fx_node.name] = INPUT
        elif fx_node.op == "call_function":
            node = _read_call(fx_node, values, context)
            if node is not None:
                nodes.append(node)
    assert shape is not None
    output = values.get(str(signature.user_outputs[0]))
    if output is None or output == INPUT:
        raise CaptureError("capture", "the output must be computed from the input, it is not")
    return Graph(graph_name, shape, tuple(nodes), output).with_nodes(nodes)


def _constants(program: torch.export.ExportedProgram) -> dict[str, Any]:
    """Parameters, buffers and lifted tensors as float64 arrays, by placeholder."""
    signature = program.graph_signature
    named: dict[str, Any] = {**program.constants, **program.state_dict}
    targets = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    arrays = {}
    for placeholder, target in targets.items():
        array = named[target].detach().to("cpu", torch.float64).numpy().copy()
        array.flags.writeable = False
        arrays[placeholder] = array
    return arrays


def _image_shape(fx_node: Any) -> Shape:
    sizes = tuple(fx_node.meta["val"].shape)[1:]
    if len(sizes) != 3 or not all(isinstance(size, int) for size in sizes):
        raise CaptureError(
            "capture",
            f"the input must have the shape (N, C, H, W) with fixed C, H and W, has {sizes}",
            "export with a dynamic batch dimension at most",
        )
    return sizes


def _read_call(fx_node: Any, values: dict[str, str], context: OpContext) -> Node | None:
    """The IR node of a call, or None where it adds none (``values`` then knows what it is)."""
    target = str(fx_node.target)
    sources = [arg for arg in fx_node.all_input_nodes if arg.name in values]
    if not sources:
        context.fold(fx_node, target)
        return None
    if fx_node.target is operator.getitem and fx_node.args[1] == 0:
        values[fx_node.name] = values[sources[0].name]
        return None
    if target.startswith("aten.sym_size"):
        return None
    name = context.unique(layer_name(fx_node))
    if target in IN_PLACE and is_shared_view(sources[0]):
        # Other readers of the tensor would see the old values in the graph.
        raise CaptureError(
            name,
            f"{target} writes through a view of a tensor that is used elsewhere",
            "use the operator that returns a new tensor",
        )
    shape, source_shapes = value_shape(fx_node), [value_shape(node) for node in sources]
    if shape is None or None in source_shapes:
        op: Any = Unsupported(
            f"{target} must turn tensors (N, C, H, W) or (N, C) into one, got "
            f"{[tuple(s.meta['val'].shape) for s in sources if 'val' in s.meta]}",
            "keep to images and vectors with the batch first",
        )
        shape = shape or (1, 1, 1)
    else:
        op = translate(fx_node, target, shape, source_shapes, context)
    if op is None:
        context.used.discard(name)
        values[fx_node.name] = values[sources[0].name]
        return None
    operands = [arg for arg in _flat(fx_node.args) if getattr(arg, "name", None) in values]
    values[fx_node.name] = name
    return Node(name, op, tuple(values[arg.name] for arg in operands), shape)


def _flat(arguments: Any) -> list[Any]:
    """Arguments in order, those in a list (of the tensors to join) among them."""
    return [a for b in arguments for a in (b if isinstance(b, (list, tuple)) else [b])]
