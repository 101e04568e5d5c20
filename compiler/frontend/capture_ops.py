# SPDX-License-Identifier: Apache-2.0
"""ATen operators and their IR operators. Works on fx nodes without importing torch."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .fx import Call, OpContext, pair, refuse
from .graph import (
    Add,
    AveragePool,
    BatchNorm,
    Clamp,
    Concat,
    Conv,
    Flatten,
    FloatArray,
    Linear,
    MaxPool,
    Op,
    Shape,
    ZeroPad,
    pool_shape,
)


def _conv(call: Call, weight: FloatArray | None, bias: FloatArray | None, rest: Any) -> Op:
    stride, padding, dilation, groups = rest
    if weight is None or weight.ndim != 4:
        return refuse(call, "must have constant 4-dimensional weights", "use nn.Conv2d")
    stride, (dy, dx) = pair(stride), pair(dilation)
    if (dy, dx) != (1, 1):
        o, i, ky, kx = weight.shape
        stuffed = np.zeros((o, i, (ky - 1) * dy + 1, (kx - 1) * dx + 1))
        stuffed[:, :, ::dy, ::dx] = weight
        weight = stuffed
    if isinstance(padding, str):
        if padding == "same":
            # torch pads an even kernel more behind; a leading row of zeros makes both sides equal.
            weight = np.pad(weight, ((0, 0), (0, 0), *(((k + 1) % 2, 0) for k in weight.shape[2:])))
            padding = [weight.shape[2] // 2, weight.shape[3] // 2]
        else:
            padding = [0, 0]
    bias = np.zeros(weight.shape[0]) if bias is None else bias
    return Conv(weight, bias, stride, pair(padding, (0, 0)), groups)


def _conv2d(call: Call) -> Op:
    rest = [call.get(3, "stride", 1), call.get(4, "padding", 0)]
    rest += [call.get(5, "dilation", 1), call.get(6, "groups", 1)]
    return _conv(call, call.array(1, "weight"), call.array(2, "bias"), rest)


def _convolution(call: Call) -> Op:
    if call.get(6, "transposed"):
        return refuse(call, "is a transposed convolution", "upsample outside, or use nn.Conv2d")
    args = call.fx_node.args
    rest = (args[3], args[4], args[5], args[8])
    return _conv(call, call.array(1, "weight"), call.array(2, "bias"), rest)


def _dense(call: Call, weight: FloatArray | None, bias: FloatArray | None) -> Op:
    if weight is None or weight.ndim != 2:
        return refuse(call, "must have a constant weight matrix", "use nn.Linear")
    if call.sources[0] != (weight.shape[1], 1, 1):
        return refuse(call, f"must read a flat tensor, got {call.sources[0]}", "flatten it first")
    return Linear(weight, np.zeros(weight.shape[0]) if bias is None else bias)


def _linear(call: Call) -> Op:
    return _dense(call, call.array(1, "weight"), call.array(2, "bias"))


def _addmm(call: Call) -> Op:
    weight = call.array(2, "mat2")
    return _dense(call, None if weight is None else weight.T, call.array(0, "input"))


def _batch_norm(call: Call) -> Op:
    training = "no_training" not in call.target and call.get(5, "training")
    if training:
        return refuse(call, "must use running statistics", "call .eval() before the export")
    mean, var = call.array(3, "running_mean"), call.array(4, "running_var")
    if mean is None or var is None:
        return refuse(call, "has no running statistics", "train with track_running_stats=True")
    gamma, beta = call.array(1, "weight"), call.array(2, "bias")
    eps = call.get(6 if "no_training" in call.target else 7, "eps", 1e-5)
    with np.errstate(invalid="ignore"):  # the check reports what is not finite
        scale = (1.0 if gamma is None else gamma) / np.sqrt(var + eps)
    return BatchNorm(scale, (0.0 if beta is None else beta) - mean * scale)


def _clamp(call: Call, low: Any, high: Any) -> Op:
    if low != 0 or (high is not None and high <= 0):
        return refuse(
            call,
            f"must clamp to 0 and above, clamps to {low}..{high}",
            "use ReLU or ReLU6; values without ReLU are signed and need no clamp",
        )
    return Clamp(0.0, None if high is None or math.isinf(high) else float(high))


def _max_pool(call: Call) -> Op:
    kernel = pair(call.get(1, "kernel_size"))
    pool = MaxPool(
        kernel, pair(call.get(2, "stride"), kernel), pair(call.get(3, "padding"), (0, 0))
    )
    if pair(call.get(4, "dilation")) != (1, 1):
        return refuse(call, "must have dilation 1", "use a larger kernel")
    return _pool_or_refusal(call, pool)


def _avg_pool(call: Call) -> Op:
    kernel = pair(call.get(1, "kernel_size"))
    stride, padding = pair(call.get(2, "stride"), kernel), pair(call.get(3, "padding"), (0, 0))
    divisor = call.get(6, "divisor_override") or kernel[0] * kernel[1]
    if padding != (0, 0) and not call.get(5, "count_include_pad", True):
        return refuse(
            call,
            "has count_include_pad=False with padding: windows would have different divisors",
            "set count_include_pad=True or padding=0",
        )
    if divisor < 1:
        return refuse(call, f"must have a positive divisor, has {divisor}", "remove it")
    return _pool_or_refusal(call, AveragePool(kernel, stride, padding, divisor))


def _pool_or_refusal(call: Call, pool: MaxPool | AveragePool) -> Op:
    if pool_shape(call.sources[0], pool) != call.shape:
        return refuse(
            call,
            "has ceil_mode=True and windows that reach past the border",
            "set ceil_mode=False, or pad the input",
        )
    return pool


def _global(call: Call, size: Any, kind: type) -> Op:
    source, (height, width) = call.sources[0], pair(size)
    if source[1] % height or source[2] % width:
        return refuse(
            call,
            f"must have an output size that divides the input, got {height} x {width} of "
            f"{source[1]} x {source[2]}",
            "choose a divisor, or a pooling with a fixed kernel",
        )
    kernel = (source[1] // height, source[2] // width)
    if kind is MaxPool:
        return MaxPool(kernel, kernel)
    return AveragePool(kernel, kernel, (0, 0), kernel[0] * kernel[1])


def _mean(call: Call) -> Op:
    rank = len(call.fx_node.args[0].meta["val"].shape)
    axes = sorted(axis % rank for axis in (call.get(1, "dim") or []))
    if rank != 4 or axes != [2, 3]:
        return refuse(call, "must be the mean over height and width", "use dim=(2, 3)")
    return _global(call, 1, AveragePool)


def _add(call: Call) -> Op:
    is_doubled = call.fx_node.args[0] is call.fx_node.args[1]
    if len(call.sources) + is_doubled != 2 or call.get(2, "alpha", 1) != 1:
        return refuse(
            call, "must add two tensors", "fold constants into the bias of the layer before"
        )
    return Add()


def _concat(call: Call) -> Op | None:
    tensors = call.fx_node.args[0]
    if len(set(tensors)) != len(call.sources):
        return refuse(
            call, "must join computed tensors, one is constant", "put it into the next layer's bias"
        )
    rank = len(call.fx_node.meta["val"].shape)
    if call.get(1, "dim", 0) not in (1, 1 - rank):
        return refuse(call, "must join channels", "use dim=1")
    return Concat() if len(tensors) > 1 else None


def _pad(call: Call) -> Op | None:
    mode = "constant" if "constant" in call.target else call.get(2, "mode", "constant")
    value = call.get(2 if "constant" in call.target else 3, "value")
    sizes = [*call.get(1, "pad"), 0, 0, 0, 0, 0, 0][:6]
    (left, right, above, below), beyond = sizes[:4], sizes[4:]
    if mode != "constant" or value not in (None, 0) or min(sizes) < 0 or any(beyond):
        return refuse(
            call,
            f"must add zeros around images, got mode {mode}, value {value or 0}, sizes {sizes}",
            "pad with zeros, in height and width",
        )
    return ZeroPad((above, left), (below, right)) if any(sizes) else None


def _reshape(call: Call) -> Op | None:
    source = call.sources[0]
    batch = [node.meta["val"].shape[0] for node in (call.fx_node, call.fx_node.args[0])]
    if batch[0] == batch[1] and call.shape == source:
        return None
    if batch[0] == batch[1] and call.shape == (math.prod(source), 1, 1):
        return Flatten()
    return refuse(
        call,
        f"must keep the shape or flatten to (N, {math.prod(source)}), makes {call.shape} of "
        f"{source}",
        "keep images as they are until the first dense layer",
    )


def _drop(call: Call) -> Op | None:
    if "dropout" in call.target and call.get(2, "train"):
        return refuse(call, "is in training mode", "call .eval() before the export")
    return None


HANDLERS: dict[str, Callable[[Call], Op | None]] = {
    "conv2d.default": _conv2d,
    "conv2d.padding": _conv2d,
    "convolution.default": _convolution,
    "linear.default": _linear,
    "addmm.default": _addmm,
    "batch_norm.default": _batch_norm,
    "_native_batch_norm_legit_no_training.default": _batch_norm,
    "relu.default": lambda call: Clamp(),
    "relu6.default": lambda call: Clamp(0.0, 6.0),
    "hardtanh.default": lambda call: _clamp(
        call, call.get(1, "min_val", -1), call.get(2, "max_val", 1)
    ),
    "clamp.default": lambda call: _clamp(call, call.get(1, "min"), call.get(2, "max")),
    "clamp_min.default": lambda call: _clamp(call, call.get(1, "min"), None),
    "max_pool2d.default": _max_pool,
    "max_pool2d_with_indices.default": _max_pool,
    "avg_pool2d.default": _avg_pool,
    "adaptive_avg_pool2d.default": lambda call: _global(call, call.get(1, "size"), AveragePool),
    "_adaptive_avg_pool2d.default": lambda call: _global(call, call.get(1, "size"), AveragePool),
    "adaptive_max_pool2d.default": lambda call: _global(call, call.get(1, "size"), MaxPool),
    "mean.dim": _mean,
    "add.Tensor": _add,
    "cat.default": _concat,
    "concat.default": _concat,
    "pad.default": _pad,
    "constant_pad_nd.default": _pad,
    "view.default": _reshape,
    "reshape.default": _reshape,
    "flatten.using_ints": _reshape,
    "squeeze.dims": _reshape,
    "squeeze.dim": _reshape,
    "unsqueeze.default": _reshape,
    "dropout.default": _drop,
    "feature_dropout.default": _drop,
    "contiguous.default": _drop,
    "clone.default": _drop,
    "detach.default": _drop,
    "alias.default": _drop,
    "lift_fresh_copy.default": _drop,
}

_WRITERS = ("relu_", "relu6_", "hardtanh_", "clamp_", "clamp_min_", "add_", "dropout_")
IN_PLACE = {f"aten.{name}.{kind}" for name in _WRITERS for kind in ("default", "Tensor")}

REMEDIES = {
    "sigmoid": "use ReLU",
    "silu": "use ReLU",
    "gelu": "use ReLU",
    "hardswish": "use ReLU",
    "hardsigmoid": "use ReLU",
    "leaky_relu": "use ReLU",
    "prelu": "use ReLU",
    "softmax": "leave it out of the network: the largest logit is the same",
    "log_softmax": "leave it out of the network: the largest logit is the same",
    "pad": "pad with zeros",
    "mul": "fold constant factors into the weights",
    "div": "fold constant factors into the weights",
    "sub": "fold constants into the bias",
    "layer_norm": "use batch norm, which folds into weights",
    "group_norm": "use batch norm, which folds into weights",
    "instance_norm": "use batch norm, which folds into weights",
    "conv1d": "use nn.Conv2d with a kernel of height 1",
    "conv_transpose2d": "upsample outside the network, or use nn.Conv2d",
}


def translate(
    fx_node: Any, target: str, shape: Shape, sources: list[Shape | None], context: OpContext
) -> Op | None:
    """The IR operator of a call; None where the result is the operand itself."""
    key = target.removeprefix("aten.")
    if target in IN_PLACE:
        base, _, overload = key.partition("_.")
        key = f"{base}.{overload}"
    call = Call(fx_node, target, shape, [s for s in sources if s is not None], context)
    handler = HANDLERS.get(key)
    if handler is None:
        remedy = REMEDIES.get(key.split(".")[0].strip("_"), "replace it by supported layers")
        return refuse(call, "has no spiking form", remedy)
    return handler(call)
