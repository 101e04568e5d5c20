# SPDX-License-Identifier: Apache-2.0
"""Reads a torch module into the IR, through ``torch.export``."""

import logging
import math
import operator
import sysconfig
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stemcore.golden.network.network import INPUT
from stemcore.golden.network.tail import TailStep, apply_tail

from ..errors import CaptureError
from .capture_groups import STACK, regroup, stack
from .capture_moves import EXAMPLE_IMAGES, MOVES, Moved, move, unmoved
from .capture_precision import describe_cast, in_float32
from .capture_steps import FAKE, LIBRARY, as_float32, check_formats, steps_of
from .capture_tail import arrange_output, find_tail, is_in_order, read_tail
from .fx import (
    TORCH_FILE,
    Call,
    OpContext,
    graph_shape,
    is_shared_view,
    layer_name,
    place_of,
    value_shape,
)
from .graph import Graph, Node, check_graph
from .ops.dense import Linear
from .ops.fake_quantize import FakeQuantize
from .ops.gather import arrangement
from .ops.layout import Concat
from .ops.operator import FloatArray, Operator, Shape, Unsupported
from .passes.flat_norm import fold_flat_norm
from .passes.products import fold_products
from .run_graph import run_graph
from .translate import IN_PLACE, translate

IN_ORDER = Operator()  # stands for no operator at all


def capture(
    model: "torch.nn.Module | torch.export.ExportedProgram",
    input_shape: Sequence[int] | None = None,
    name: str = "network",
) -> Graph:
    """The float graph of a module in evaluation mode, or of an exported program.

    Operators without a spiking form become ``Unsupported`` nodes, so that the compatibility check
    can report all of them at once. Dropout and identities are gone. Parameters of other float types
    are read as float32, and a note of the graph says so.

    Parameters
    ----------
    model : torch.nn.Module or torch.export.ExportedProgram
        Takes one float tensor (N, C, H, W), (N, C, L) or (N, F) and returns one tensor.
    input_shape : (C, H, W), (C, L) or (F,)
        May be left out for an exported program. The graph has the shape (C, 1, L) or (F, 1, 1).
    name : str
        Of the network, for reports.

    Raises
    ------
    CaptureError
        Where the module cannot be exported, is in training mode, has more than one input or
        output, or is quantized in a way that cannot be read.
    """
    if isinstance(model, torch.nn.Module):
        if input_shape is None:
            raise CaptureError("capture", "a module needs input_shape=(C, H, W), none came")
        model, note = in_float32(model)
        program = _export(model, input_shape)
    elif isinstance(model, torch.export.ExportedProgram):
        program = model
        note = describe_cast(t for t in program.state_dict.values() if isinstance(t, torch.Tensor))
    else:
        raise CaptureError(
            "capture",
            "model must be a torch.nn.Module or torch.export.ExportedProgram, "
            f"got {type(model).__name__}",
        )
    check_formats(program)
    graph = fold_products(check_graph(_read(program, input_shape, name)))
    graph = fold_flat_norm(graph)
    graph = replace(graph, notes=(note,) if note else ())
    if isinstance(model, torch.nn.Module) and input_shape is not None:
        _check_function(model, graph, input_shape)
    return graph


def _export(module: torch.nn.Module, shape: Sequence[int]) -> torch.export.ExportedProgram:
    training = [name or "the module" for name, m in module.named_modules() if m.training]
    if training and not _is_exported(module):
        raise CaptureError(
            training[0], "must be in evaluation mode, is in training mode", "call .eval() first"
        )
    _check_shape("capture", shape)
    failure: Exception | None = None
    # Two images show that the batch stays a batch; some modules are written for one alone.
    for n_images in _batch_sizes(module):
        example = torch.zeros(n_images, *shape)
        try:
            with _quiet_torch(), torch.no_grad():
                return torch.export.export(module, (example,))
        except Exception as error:  # torch.export raises anything that the module raises
            failure = failure or error
    first_line = str(failure).strip().splitlines()[0] if str(failure).strip() else repr(failure)
    raise CaptureError(
        "capture",
        "torch.export must accept the module with an input of shape "
        f"({', '.join(map(str, ('N', *shape)))}), it raised {type(failure).__name__}"
        f"{_raised_at(failure)}: {first_line}",
        "check the input shape; take data-dependent Python out of forward()",
    ) from failure


@contextmanager
def _quiet_torch() -> Iterator[None]:
    """Without what torch.export says of its own internals, and without the graphs that it prints
    where it fails: the error has what the user needs."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _raised_at(error: Exception | None) -> str:
    """ " at FILE:LINE" of the user's code, where the error passed through it."""
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    own = [f for f in frames if not _is_librarys(f.filename)]
    return f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


def _is_librarys(path: str) -> bool:
    """Whether a file is no code of the user's: torch's, Python's, or this one."""
    python = sysconfig.get_paths()["stdlib"]
    return path == __file__ or path.startswith(python) or TORCH_FILE.search(path) is not None


def _batch_sizes(module: torch.nn.Module) -> tuple[int, ...]:
    """Numbers of images to try: the one that a graph was exported for, where there is one."""
    if isinstance(module, torch.fx.GraphModule):
        inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
        sizes = tuple(getattr(inputs[0].meta.get("val"), "shape", ())) if inputs else ()
        if sizes and isinstance(sizes[0], int):
            return (sizes[0],)
    return EXAMPLE_IMAGES, 1


def _is_exported(module: torch.nn.Module) -> bool:
    """Whether it is a graph of operators, which hold their mode; its own flag then says nothing."""
    if not isinstance(module, torch.fx.GraphModule):
        return False
    return all(n.op != "call_module" or n.target == "_guards_fn" for n in module.graph.nodes)


def _check_function(module: torch.nn.Module, graph: Graph, sizes: Sequence[int]) -> None:
    """Raises unless the graph computes what the module computes, on noise."""
    if any(isinstance(node.op, Unsupported) for node in graph.nodes):
        return
    n_images = min(_batch_sizes(module))
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(n_images, *graph.input_shape, generator=generator) * 2 - 1
    with torch.no_grad():
        returned = module(noise.reshape(n_images, *sizes))
    found = apply_tail(graph.tail, run_graph(graph, noise)[graph.output].double().numpy())
    if isinstance(returned, tuple):
        returned, found = returned[0], found[0]
    expected, got = returned.flatten(), torch.from_numpy(np.asarray(found)).flatten()
    if not expected.is_floating_point():
        return  # an index, which rounding may change where values are nearly equal
    if not torch.isfinite(expected).all():
        return  # the compatibility check names the weights
    difference, largest = float((got - expected).abs().max()), float(expected.abs().max())
    # A sum beside a tie may round to the neighbour, and what follows builds on it.
    is_rounded = any(isinstance(node.op, FakeQuantize) for node in graph.nodes)
    if difference > (0.1 if is_rounded else 1e-3) * max(largest, 1e-3):
        raise CaptureError(
            "capture",
            "the captured graph must compute what the module computes, differs by "
            f"{difference:.3g} where outputs reach {largest:.3g}",
            "report the module; until then rewrite it with plain torch.nn layers",
        )


def _check_shape(where: str, shape: Any) -> None:
    sizes = tuple(shape)
    if not 1 <= len(sizes) <= 3 or not all(isinstance(n, int) and n >= 1 for n in sizes):
        raise CaptureError(
            where,
            "input_shape must be positive sizes (C, H, W), (C, L) or (F,), without the batch, "
            f"got {shape}",
        )


def _read(
    program: torch.export.ExportedProgram, input_shape: Sequence[int] | None, graph_name: str
) -> Graph:
    signature, tail = program.graph_signature, find_tail(program)
    if len(signature.user_inputs) != 1 or (len(signature.user_outputs) != 1 and not tail):
        raise CaptureError(
            "capture",
            "the network must have one input and one output, has "
            f"{len(signature.user_inputs)} and {len(signature.user_outputs)}",
            "wrap it in a module that takes one tensor and returns one",
        )
    reader = _Reader(program)
    for fx_node in program.graph.nodes:
        if fx_node in tail:
            continue
        if fx_node.op == "placeholder" and fx_node.name == signature.user_inputs[0]:
            reader.begin(fx_node, input_shape)
        elif fx_node.op == "call_function":
            reader.read(fx_node)
    output, steps = reader.output(str(signature.user_outputs[0]), tail)
    nodes = tuple(reader.nodes)
    return Graph(graph_name, reader.input_shape, nodes, output, steps).with_nodes(nodes)


class _Reader:
    """Turns the calls of an exported program into nodes, in order.

    A value that only holds elements of another in another arrangement has no node until an operator
    reads it (:mod:`stemcore.compiler.frontend.capture_moves`). What does not depend on the input is
    computed here and now.

    Attributes
    ----------
    nodes : list of Node
    values : dict
        What stands for each fx node that depends on the input.
    constants : dict of tensors
        Fx nodes that do not.
    """

    def __init__(self, program: torch.export.ExportedProgram):
        self.nodes: list[Node] = []
        self.values: dict[str, Moved] = {}
        self.constants = _constants(program)
        arrays = {name: _array(tensor) for name, tensor in self.constants.items()}
        self._context = OpContext(arrays, {INPUT})
        self._arranged: dict[str, str] = {}  # fx nodes of moved values to the nodes made of them
        self._refused: set[str] = set()  # fx nodes whose operator is unsupported
        self._shapes: dict[str, Shape] = {}
        self.input_shape: Shape = (1, 1, 1)

    def begin(self, fx_node: Any, input_shape: Sequence[int] | None) -> None:
        """Takes the program's input."""
        sizes = _image_sizes(fx_node)
        if input_shape is not None and tuple(input_shape) != sizes:
            raise CaptureError(
                "capture", f"the program was exported for {sizes}, got {tuple(input_shape)}"
            )
        shape = graph_shape(sizes)
        assert shape is not None
        self.input_shape = self._shapes[INPUT] = shape
        self.values[fx_node.name] = unmoved(INPUT, _sizes(fx_node.meta["val"]))

    def read(self, fx_node: Any) -> None:
        """Takes a call: ``nodes``, ``values`` or ``constants`` then know its result."""
        target = str(fx_node.target)
        sources = [arg for arg in fx_node.all_input_nodes if arg.name in self.values]
        if target.startswith("aten.sym_size"):
            return
        if not sources:
            self._fold(fx_node)
        elif fx_node.target is operator.getitem:
            self._pick(fx_node, sources[0])
        elif target in MOVES and len(sources) == 1 and fx_node.args[0] is sources[0]:
            is_read = sources[0].name not in self._refused or value_shape(sources[0]) is not None
            moved = None if not is_read else move(fx_node, self.values[sources[0].name])
            if moved is None:
                self._refuse(fx_node, sources)
            else:
                self.values[fx_node.name] = moved
        elif target == STACK and all(arg.name in self.values for arg in fx_node.args[0]):
            self._stack(fx_node, sources)
        elif not self._regroup(fx_node, target, sources):
            self._compute(fx_node, target, sources)

    def _stack(self, fx_node: Any, sources: list[Any]) -> None:
        """A concatenation, whose channels are read as the stacked tensors."""
        inputs = tuple(self._operand(arg.name) for arg in fx_node.args[0])
        shapes = [value_shape(source) for source in sources]
        if None in shapes:
            self._refuse(fx_node, sources)
            return
        op, name = Concat(), self._context.unique(layer_name(fx_node))
        self.nodes.append(
            Node(name, op, inputs, op.output_shape([self._shapes[i] for i in inputs]))
        )
        self._shapes[name] = self.nodes[-1].shape
        sizes = [_sizes(arg.meta["val"]) for arg in fx_node.args[0]]
        self.values[fx_node.name] = stack(fx_node, sizes, name)

    def _regroup(self, fx_node: Any, target: str, sources: list[Any]) -> bool:
        """Takes a call that is read off the positions of its operand; False where it is none."""
        if fx_node.args[0] is not sources[0]:
            return False
        value = self.values[sources[0].name]
        source = value.source
        shape = self._shapes[source]
        placed = regroup(Call(fx_node, target, shape, [shape], self._context), value, shape)
        if placed is None:
            return False
        if isinstance(placed.op, Linear):
            assert isinstance(value.positions, torch.Tensor)
            flat = replace(value, positions=value.positions.flatten(1), fx_node=fx_node)
            source = self._arrange(f"{fx_node.name}, flat", flat)
        name = self._context.unique(layer_name(fx_node))
        self.nodes.append(Node(name, placed.op, (source,), placed.shape))
        self._shapes[name] = placed.shape
        result = fx_node.meta["val"]
        sizes = _sizes(result[0] if isinstance(result, (tuple, list)) else result)
        positions = torch.from_numpy(placed.positions).reshape(1, *sizes[1:]).expand(sizes)
        self.values[fx_node.name] = Moved(name, positions, fx_node)
        return True

    def output(self, name: str, tail: list[Any]) -> tuple[str, tuple[TailStep, ...]]:
        """The node that is the network's output, and what the host makes of it.

        ``name`` is the program's output, ``tail`` the calls that end with it.
        """
        end = tail[0].args[0].name if tail else name
        if end not in self.values or self.values[end].source == INPUT:
            raise CaptureError("capture", "the output must be computed from the input, it is not")
        value = self.values[end]
        if value.batch:
            raise CaptureError(
                layer_name(value.fx_node),
                "stacks results in front of the batch",
                "stack them behind it, dim=1, or leave it out of the network",
            )
        n_elements = math.prod(self._shapes[value.source])
        if not tail and is_in_order(value, n_elements):
            return self._operand(end), ()
        steps = read_tail(tail, value, n_elements) if tail else arrange_output(value, n_elements)
        if steps is None:
            raise CaptureError(
                layer_name(tail[-1]),
                "mixes the images of a batch after the last layer",
                "keep the batch first, or leave it out of the network",
            )
        return value.source, steps

    def _fold(self, fx_node: Any) -> None:
        """Computes what depends on constants alone, where these are all known."""
        names = [arg.name for arg in fx_node.all_input_nodes]
        target = str(fx_node.target)
        is_plain = fx_node.target is operator.getitem or target.startswith(("aten.", LIBRARY))
        if not is_plain or not all(name in self.constants for name in names):
            return
        known = self.constants
        if target.startswith((LIBRARY, FAKE)):
            known = {name: as_float32(known[name]) for name in names}
        with torch.no_grad():
            arguments = torch.fx.node.map_arg(fx_node.args, lambda n: known[n.name])
            keywords = torch.fx.node.map_arg(fx_node.kwargs, lambda n: known[n.name])
            value = fx_node.target(*arguments, **keywords)
        self.constants[fx_node.name] = value
        if isinstance(value, torch.Tensor):
            self._context.constants[fx_node.name] = _array(value)
            steps = steps_of(fx_node, arguments)
            if steps is not None:
                self._context.steps[fx_node.name] = steps

    def _pick(self, fx_node: Any, source: Any) -> None:
        """One of the tensors of a call that gives several."""
        value, number = self.values[source.name], fx_node.args[1]
        if isinstance(value.positions, tuple):
            self.values[fx_node.name] = Moved(value.source, value.positions[number], fx_node)
        elif number == 0:  # of a pooling that also gives indices
            self.values[fx_node.name] = value
        else:
            self._refuse(fx_node, [source])

    def _compute(self, fx_node: Any, target: str, sources: list[Any]) -> None:
        if target in IN_PLACE and is_shared_view(sources[0]):
            # Other readers of the tensor would see the old values in the graph.
            raise CaptureError(
                layer_name(fx_node),
                f"{target} writes through a view of a tensor that is used elsewhere",
                "use the operator that returns a new tensor",
            )
        operands = [a for a in _flat(fx_node.args) if getattr(a, "name", None) in self.values]
        if len(operands) == 1 and self._compute_in_place(fx_node, target, operands[0]):
            return
        # Nodes of operands come first, and take their names first.
        inputs = {arg.name: self._operand(arg.name) for arg in operands}
        shape, source_shapes = value_shape(fx_node), [value_shape(node) for node in sources]
        if shape is None or None in source_shapes:
            self._refuse(fx_node, sources)
            return
        name = self._context.unique(layer_name(fx_node))
        op = translate(fx_node, target, shape, source_shapes, self._context)
        if op is None:
            self._context.used.discard(name)
            self.values[fx_node.name] = self.values[sources[0].name]
            return
        self._add(fx_node, name, op, tuple(inputs[arg.name] for arg in operands), shape)

    def _compute_in_place(self, fx_node: Any, target: str, operand: Any) -> bool:
        """Takes a function of single values before they are moved, where no node can move them."""
        value = self.values[operand.name]
        is_moved = value.fx_node is not None and isinstance(value.positions, torch.Tensor)
        if not is_moved or self._moves_as(value) is not None:
            return False
        shape = self._shapes[value.source]
        op = translate(fx_node, target, shape, [shape], self._context)
        if op is None or not op.is_pointwise:
            return False
        name = self._context.unique(layer_name(fx_node))
        self._add(fx_node, name, op, (value.source,), shape)
        self.values[fx_node.name] = replace(value, source=name, fx_node=fx_node)
        return True

    def _refuse(self, fx_node: Any, sources: list[Any]) -> None:
        """A node that says why the call cannot be read."""
        problem = (
            f"{fx_node.target} must turn tensors (N, C, H, W), (N, C, L) or (N, C) into one, got "
            f"{', '.join(_described(source) for source in sources)}"
        )
        op = Unsupported(
            problem,
            "keep to images, sequences and vectors with the batch first",
            place_of(fx_node),
            is_consequence=any(source.name in self._refused for source in sources),
        )
        name = self._context.unique(layer_name(fx_node))
        inputs = tuple(self.values[source.name].source for source in sources)
        self._add(fx_node, name, op, inputs, value_shape(fx_node) or (1, 1, 1))

    def _add(
        self, fx_node: Any, name: str, op: Operator, inputs: tuple[str, ...], shape: Shape
    ) -> None:
        self.nodes.append(Node(name, op, inputs, shape))
        if isinstance(op, Unsupported):
            self._refused.add(fx_node.name)
        self._shapes[name] = shape
        value = fx_node.meta.get("val")
        value = value[0] if isinstance(value, (tuple, list)) else value
        self.values[fx_node.name] = unmoved(name, _sizes(value) if value is not None else (1, 1))

    def _operand(self, name: str) -> str:
        """The node whose result is the value of an fx node; one that rearranges where needed."""
        value = self.values[name]
        if value.fx_node is None or isinstance(value.positions, tuple):
            return value.source  # as it was computed
        return self._arrange(name, value)

    def _arrange(self, key: str, value: Moved) -> str:
        """The node that rearranges a moved value; ``key`` is whose, so that there is one only."""
        assert isinstance(value.positions, torch.Tensor)
        if key in self._arranged:
            return self._arranged[key]
        op = self._moves_as(value)
        if op is IN_ORDER:
            return value.source
        made = tuple(value.positions.shape[1:])
        if op is None:
            op = Unsupported(
                f"brings values of {self._shapes[value.source]} into an order of shape {made} that "
                "no layer has",
                "flatten images only before a dense layer, and choose or shuffle whole channels",
                place_of(value.fx_node),
            )
        node_name = self._context.unique(layer_name(value.fx_node))
        shape = graph_shape(made) or (1, 1, 1)
        self.nodes.append(Node(node_name, op, (value.source,), shape))
        self._shapes[node_name] = shape
        self._arranged[key] = node_name
        return node_name

    def _moves_as(self, value: Moved) -> Operator | None:
        """The operator that a moved value comes of; ``IN_ORDER`` for none, None if there is none
        that could."""
        assert isinstance(value.positions, torch.Tensor)
        shape, source = graph_shape(value.positions.shape[1:]), self._shapes[value.source]
        if shape is None or value.batch:
            return None
        positions = value.positions[0].reshape(-1).numpy()
        if shape == source and np.array_equal(positions, np.arange(len(positions))):
            return IN_ORDER
        return arrangement(positions.reshape(shape), source)


def _constants(program: torch.export.ExportedProgram) -> dict[str, Any]:
    """Parameters, buffers and lifted tensors by placeholder; floats in 64 bits."""
    signature = program.graph_signature
    named: dict[str, Any] = {**program.constants, **program.state_dict}
    targets = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    constants = {}
    for placeholder, target in targets.items():
        tensor = named[target].detach().to("cpu")
        constants[placeholder] = tensor.double() if tensor.is_floating_point() else tensor
    return constants


def _array(tensor: torch.Tensor) -> FloatArray:
    array: FloatArray = tensor.detach().double().numpy().copy()
    array.flags.writeable = False
    return array


def _image_sizes(fx_node: Any) -> tuple[int, ...]:
    """Sizes of the input without the batch."""
    sizes = tuple(fx_node.meta["val"].shape)[1:]
    if graph_shape(sizes) is None or not all(isinstance(size, int) for size in sizes):
        raise CaptureError(
            "capture",
            "the input must have the shape (N, C, H, W), (N, C, L) or (N, F) with all sizes but N "
            f"fixed, has {sizes} behind N",
            "export with a dynamic batch dimension at most",
        )
    return sizes


def _described(fx_node: Any) -> str:
    """Shape of a value, or of all of several, for a message."""
    value = fx_node.meta.get("val")
    values = value if isinstance(value, (tuple, list)) else [value]
    return " and ".join(str(tuple(getattr(one, "shape", ()))) for one in values)


def _sizes(value: Any) -> tuple[int, ...]:
    """Shape of a fake tensor; a batch that is not fixed counts as two images."""
    return tuple(size if isinstance(size, int) else EXAMPLE_IMAGES for size in value.shape)


def _flat(arguments: Any) -> list[Any]:
    """Arguments in order, those in a list (of the tensors to join) among them."""
    return [a for b in arguments for a in (b if isinstance(b, (list, tuple)) else [b])]
