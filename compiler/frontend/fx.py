# SPDX-License-Identifier: Apache-2.0
"""Reading fx nodes without importing torch: arguments, constants, shapes, names."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ops.operator import FloatArray, Operator, Pair, Place, Shape, Unsupported

TORCH_FILE = re.compile(r"[/\\]torch[/\\](nn|export|fx|func|utils|_\w+)\b")
VIEWS = {"aten.view.default", "aten.reshape.default", "aten.flatten.using_ints"}


@dataclass(frozen=True, eq=False)
class Steps:
    """What one integer of a constant is worth: one number, or one along an axis."""

    scales: FloatArray
    axis: int | None


@dataclass
class OpContext:
    """Arrays by fx node name, and the layer names that are taken.

    ``steps``: what one integer of constants that were quantized is worth. ``is_live``: whether the
    calls are those of a module, which is in evaluation mode, and whose owner can change them.
    """

    constants: dict[str, NDArray[Any]]
    used: set[str]
    steps: dict[str, "Steps"] = field(default_factory=dict)
    is_live: bool = False

    def unique(self, name: str) -> str:
        """``name``, or with the first free number after it."""
        candidate, number = name, 1
        while candidate in self.used:
            number += 1
            candidate = f"{name}_{number}"
        self.used.add(candidate)
        return candidate

    def array(self, fx_node: Any) -> FloatArray | None:
        """The constant behind an argument; None where there is none."""
        return self.constants.get(getattr(fx_node, "name", ""))


@dataclass(frozen=True)
class Call:
    """One call of an ATen operator, as its translation sees it.

    ``shape`` is that of the result, ``sources`` those of the operands that are computed.
    """

    fx_node: Any
    target: str
    shape: Shape
    sources: list[Shape]
    context: OpContext

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """An argument by position or keyword."""
        if len(self.fx_node.args) > position:
            return self.fx_node.args[position]
        return self.fx_node.kwargs.get(name, default)

    def computes(self, argument: Any) -> bool:
        """Whether an argument is a tensor that depends on the input."""
        return hasattr(argument, "name") and self.context.array(argument) is None

    def array(self, position: int, name: str) -> FloatArray | None:
        """A constant argument; None where it was left out."""
        return self.context.array(self.get(position, name))

    def refuses_training(self, position: int, name: str = "training") -> Unsupported | None:
        """The refusal of a call that an argument puts in training mode, in a live module."""
        if not self.context.is_live or not self.get(position, name):
            return None
        return refuse(self, "is in training mode", "hand training=self.training to the function")

    def step(self, position: int, name: str, axis: int, size: int) -> FloatArray | None:
        """What one integer of a quantized constant is worth along an axis of ``size`` channels.

        None where it is not quantized, or has its scales along another axis.
        """
        steps = self.context.steps.get(getattr(self.get(position, name), "name", ""))
        if steps is None or (steps.axis not in (None, axis)) or len(steps.scales) not in (1, size):
            return None
        return np.broadcast_to(steps.scales, size).copy()


Translation = Callable[[Call], Operator | None]
TRANSLATIONS: dict[str, Translation] = {}  # by ATen operator and overload, such as "relu.default"


def captures(*targets: str) -> Callable[[Translation], Translation]:
    """Decorator: the function translates calls of these ATen operators.

    It gives the operator, ``Unsupported`` where the call is none that can be compiled
    (:func:`refuse`), or None where the result is the first operand itself.
    """

    def register(translation: Translation) -> Translation:
        for target in targets:
            assert target not in TRANSLATIONS, f"{target} has two translations"
            TRANSLATIONS[target] = translation
        return translation

    return register


def line(value: Any, default: int = 1) -> int:
    """torch's way of writing one size: a number, one in a list, or nothing."""
    if value is None or value == []:
        return default
    return int(value if isinstance(value, int) else value[0])


def pair(value: Any, default: Pair = (1, 1)) -> Pair:
    """torch's way of writing two sizes: one number, one in a list, two in a list, or nothing."""
    if value is None or value == []:
        return default
    if isinstance(value, int):
        return value, value
    return (value[0], value[-1])


def refuse(call: Call, what: str, remedy: str) -> Unsupported:
    """The operator as a finding for the compatibility check."""
    return Unsupported(f"{call.target} {what}", remedy, place_of(call.fx_node))


def value_shape(fx_node: Any) -> Shape | None:
    """Shape of a value in the graph (:func:`graph_shape`); None where it has none."""
    value = fx_node.meta.get("val")
    if isinstance(value, (tuple, list)):
        value = value[0]
    sizes = tuple(getattr(value, "shape", ()))
    if not all(isinstance(size, int) for size in sizes[1:]):
        return None
    return graph_shape(sizes[1:])


def graph_shape(sizes: Sequence[int]) -> Shape | None:
    """(C, H, W) of an image, (C, 1, L) of a sequence (C, L), (F, 1, 1) of a vector; else None."""
    match tuple(sizes):
        case (channels, height, width):
            return channels, height, width
        case (channels, length):
            return channels, 1, length
        case (features,):
            return features, 1, 1
    return None


def is_shared_view(fx_node: Any) -> bool:
    """Whether a value is a view of a tensor with other users."""
    while str(fx_node.target) in VIEWS:
        fx_node = fx_node.args[0]
        if len(fx_node.users) > 1:
            return True
    return False


def place_of(fx_node: Any) -> Place:
    """Where a call stands in the user's model, as far as torch.export wrote it down."""
    modules = (fx_node.meta.get("nn_module_stack") or {}).values()
    frames = re.findall(r'File "([^"]+)", line (\d+)', fx_node.meta.get("stack_trace") or "")
    own = [frame for frame in frames if not TORCH_FILE.search(frame[0])]
    source = f"{PurePath(own[-1][0]).name}:{own[-1][1]}" if own else ""
    return Place(tuple((str(path), _class_name(kind)) for path, kind in modules), source)


def _class_name(kind: Any) -> str:
    return kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def layer_name(fx_node: Any) -> str:
    """Path of the module that made the call; for calls between modules, the operator as well."""
    modules = place_of(fx_node).modules
    path, kind = modules[-1] if modules else ("", "")
    if path and kind.startswith("torch.nn.modules") and ".container." not in kind:
        return str(path)
    plain = re.sub(r"_?\d*$", "", fx_node.name).rstrip("_") or fx_node.name
    return f"{path}.{plain}" if path else plain
