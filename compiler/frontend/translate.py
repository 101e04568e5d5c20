# SPDX-License-Identifier: Apache-2.0
"""From ATen calls to operators of the float graph. Works on fx nodes without importing torch."""

import importlib
import pkgutil
from typing import Any

from . import ops
from .fx import TRANSLATIONS, Call, OpContext, refuse
from .ops.operator import Operator, Shape

# Every file of the folder registers its translations.
for _module in pkgutil.iter_modules(ops.__path__, f"{ops.__name__}."):
    importlib.import_module(_module.name)


def operators(kind: type[Operator] = Operator) -> tuple[type[Operator], ...]:
    """All operators that a graph may hold: they are known once this module is imported."""
    below = [one for sub in kind.__subclasses__() for one in (sub, *operators(sub))]
    return tuple(below)


_WRITERS = (
    *("relu_", "relu6_", "hardtanh_", "clamp_", "clamp_min_", "clamp_max_", "leaky_relu_"),
    *("elu_", "selu_", "celu_", "sigmoid_", "tanh_", "silu_", "mish_", "hardswish_"),
    *("hardsigmoid_", "abs_", "sign_", "add_", "rrelu_"),
    *("dropout_", "feature_dropout_", "alpha_dropout_", "feature_alpha_dropout_"),
)
IN_PLACE = {f"aten.{name}.{kind}" for name in _WRITERS for kind in ("default", "Tensor")}

_RECURRENT = "read a window of steps at once, with convolutions or dense layers"
_ATTENTION = "use convolutions and dense layers in place of attention"

_NORM = "use batch norm, which folds into weights"
_BY_CONSTANTS = "a synapse multiplies by a constant weight"

# Why an operator has no spiking form, where its name does not tell.
REASONS = {
    **dict.fromkeys(
        ("layer_norm", "native_layer_norm", "rms_norm", "group_norm", "instance_norm"),
        f"it divides values by a deviation that it computes of them, {_BY_CONSTANTS}",
    ),
    **dict.fromkeys(
        ("softmax", "log_softmax"), f"it divides by a sum over neurons, {_BY_CONSTANTS}"
    ),
    **dict.fromkeys(
        ("scaled_dot_product_attention", "matmul", "bmm", "einsum"),
        f"it multiplies computed tensors, {_BY_CONSTANTS}",
    ),
    **dict.fromkeys(
        ("lstm", "gru", "rnn_tanh", "rnn_relu"),
        "it reads its own values of earlier steps, cores keep nothing from one image to the next",
    ),
    **dict.fromkeys(
        ("lstm_cell", "gru_cell"), f"its gates multiply computed tensors, {_BY_CONSTANTS}"
    ),
    "embedding": "it chooses weights by a computed number, synapses always have the same",
}

REMEDIES = {
    "softmax": "leave it out, or have it at the end of the network, where the host computes it",
    "log_softmax": "leave it out, or have it at the end of the network, where the host computes it",
    "pad": "pad with zeros",
    "mul": "fold constant factors into the weights",
    "div": "fold constant factors into the weights",
    "sub": "fold constants into the bias",
    "layer_norm": _NORM,
    "native_layer_norm": _NORM,
    "rms_norm": _NORM,
    "group_norm": _NORM,
    "instance_norm": _NORM,
    "conv1d": "use nn.Conv2d with a kernel of height 1",
    "conv_transpose2d": "upsample outside the network, or use nn.Conv2d",
    "lstm": _RECURRENT,
    "gru": _RECURRENT,
    "rnn_tanh": _RECURRENT,
    "rnn_relu": _RECURRENT,
    "lstm_cell": _RECURRENT,
    "gru_cell": _RECURRENT,
    "scaled_dot_product_attention": _ATTENTION,
    "matmul": _ATTENTION,
    "bmm": _ATTENTION,
    "einsum": "write constant factors as a convolution or a dense layer",
    "embedding": "look vectors up outside the network, and give it those",
    "pow": "use the function outside the network, or ReLU in it",
}


def translate(
    fx_node: Any, target: str, shape: Shape, sources: list[Shape | None], context: OpContext
) -> Operator | None:
    """The operator of a call; None where the result is the operand itself.

    Calls that nothing in :mod:`ops` translates become ``Unsupported``.
    """
    key = target.removeprefix("aten.")
    if target in IN_PLACE:
        base, _, overload = key.partition("_.")
        key = f"{base}.{overload}"
    call = Call(fx_node, target, shape, [s for s in sources if s is not None], context)
    translation = TRANSLATIONS.get(key)
    if translation is None:
        name = key.split(".")[0].strip("_")
        reason = f": {REASONS[name]}" if name in REASONS else ""
        remedy = REMEDIES.get(name, "replace it by supported layers")
        return refuse(call, f"has no spiking form{reason}", remedy)
    return translation(call)
