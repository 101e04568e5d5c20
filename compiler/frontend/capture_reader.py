# SPDX-License-Identifier: Apache-2.0
"""Reads an exported program call by call into nodes of the float graph."""

import math
import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from stemcore.golden.network.network import INPUT
from stemcore.golden.network.tail import TailStep

from ..errors import CaptureError
from ..input_parts import InputPart, make_parts, packed_shape
from .capture_groups import STACK, regroup, stack
from .capture_moves import EXAMPLE_IMAGES, MOVES, Moved, move, unmoved
from .capture_steps import FAKE, LIBRARY, as_float32, steps_of
from .capture_tail import arrange_output, is_in_order, read_tail
from .fx import (
    Call,
    OpContext,
    graph_shape,
    is_shared_view,
    layer_name,
    place_of,
    value_shape,
)
from .graph import Node
from .ops.dense import Linear
from .ops.gather import arrangement
from .ops.input_part import ReadInput
from .ops.layout import Concat
from .ops.operator import FloatArray, Operator, Shape, Unsupported
from .translate import IN_PLACE, translate

ASSERTION = "aten._assert_"
IN_ORDER = Operator()  # stands for no operator at all


class Reader:
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

    def __init__(self, program: torch.export.ExportedProgram, *, is_live: bool = False):
        self.nodes: list[Node] = []
        self.values: dict[str, Moved] = {}
        self.constants = _constants(program)
        arrays = {name: _array(tensor) for name, tensor in self.constants.items()}
        self._context = OpContext(arrays, {INPUT}, is_live=is_live)
        self._arranged: dict[str, str] = {}  # fx nodes of moved values to the nodes made of them
        self._refused: set[str] = set()  # fx nodes whose operator is unsupported
        self._shapes: dict[str, Shape] = {}
        self.input_shape: Shape = (1, 1, 1)
        self.parts: tuple[InputPart, ...] = ()
        self._of_input = {INPUT}  # values that are inputs

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

    def begin_parts(self, fx_nodes: Sequence[Any], wanted: Sequence[Sequence[int]] | None) -> None:
        """Takes the program's inputs, which are several."""
        sizes = [_image_sizes(fx_node) for fx_node in fx_nodes]
        if wanted is not None and [tuple(one) for one in wanted] != sizes:
            raise CaptureError("capture", f"the program was exported for {sizes}, got {wanted}")
        shapes = [graph_shape(one) or (1, 1, 1) for one in sizes]
        names = [fx_node.name for fx_node in fx_nodes]
        self.parts = make_parts(list(zip(names, sizes, shapes, strict=True)))
        self.input_shape = self._shapes[INPUT] = packed_shape(self.parts)
        for fx_node, part in zip(fx_nodes, self.parts, strict=True):
            name = self._context.unique(part.name)
            op = ReadInput(part.channels, (part.shape[1], part.shape[2]))
            self.nodes.append(Node(name, op, (INPUT,), part.shape))
            self._shapes[name] = part.shape
            self._of_input.add(name)
            self.values[fx_node.name] = unmoved(name, _sizes(fx_node.meta["val"]))

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

    def output(
        self, name: str, tail: list[Any], path: str = ""
    ) -> tuple[str, tuple[TailStep, ...]]:
        """The node that is an output of the network, and what the host makes of it.

        ``name`` is the program's output, ``tail`` the calls that end with it; ``path`` says which
        of several it is.
        """
        end = tail[0].args[0].name if tail else name
        if end not in self.values or self.values[end].source in self._of_input:
            is_input = end in self.values
            raise CaptureError(
                "capture",
                f"the output {path}".rstrip()
                + " must be computed from the input, it is "
                + ("the input itself" if is_input else "a constant"),
                "leave it out: the host has it",
            )
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
        if target.startswith(ASSERTION):
            # What it says of types holds in the module, not of constants in 64 bits.
            self.constants[fx_node.name] = None
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
