# SPDX-License-Identifier: Apache-2.0
"""A quantizer for torchao's ``prepare_pt2e``: what the hardware computes, exactly.

::

    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from stemcore.pt2e import StemQuantizer, round_biases

    exported = torch.export.export(module, (images,)).module()
    prepared = prepare_pt2e(exported, StemQuantizer())      # or prepare_qat_pt2e, and train
    prepared(images)                                        # calibrates
    converted = round_biases(convert_pt2e(prepared))

What is annotated:

* the input, on the scale that the host fires (``input``);
* weights, symmetric with zero-point 0, a scale for each output channel or one for all;
* the value of every population of neurons, once: behind ReLU where one follows, unsigned there and
  signed elsewhere. A convolution or dense layer, the batch norm behind it, an addition of another
  population and ReLU are one population: one accumulator, one rounding;
* the value of a function of one value, such as tanh, and in front of it the sum that it is applied
  to: the function is a table from integers to integers;
* pooling, flattening and concatenation pass integers on and round nothing; what is concatenated
  shares a scale.

Biases are no spikes: :func:`round_biases` puts them onto the accumulators' scales.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torchao.quantization.pt2e import FakeQuantize
from torchao.quantization.pt2e.quantizer import (
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)

from stemcore.golden.spec.integers import limits

from ..errors import QuantizeError
from ..input_map import INPUT_BITS, parse_input
from .torch_observers import (
    ChannelObserver,
    FreeChannelObserver,
    FreeMovingObserver,
    FreeTensorObserver,
    MovingObserver,
    TensorObserver,
    with_reach,
)

_KEY = "quantization_annotation"
_WEIGHTED = {"conv1d", "conv2d", "convolution", "linear"}
_NORMS = {"batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"}
_FUNCTIONS = {
    "tanh",
    "sigmoid",
    "silu",
    "mish",
    "gelu",
    "elu",
    "selu",
    "celu",
    "softplus",
    "leaky_relu",
    "prelu",
    "hardswish",
    "hardsigmoid",
    "abs",
    "sign",
}
_NEVER_ZERO = {"sigmoid", "softplus", "hardsigmoid"}  # but far below zero, which idle lanes need
_POSITIVE = {"sigmoid", "softplus", "hardsigmoid", "abs"}  # nothing below zero comes out
_RECTIFIERS = {"relu", "relu_", "relu6", "hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min"}
_SUMS = {"add", "add_", "sub", "sub_"}
_AVERAGES = {"avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "mean"}
_POPULATIONS = _WEIGHTED | _SUMS | _AVERAGES | {"mul", "mul_", "div", "div_"}
_JOINS = {"cat", "concat"}


class StemQuantizer(Quantizer):
    """Annotates a graph of ``torch.export`` for ``prepare_pt2e`` and ``prepare_qat_pt2e``.

    Parameters
    ----------
    power_of_two : bool
        Scales for the exact profile, in which torch's integers equal the hardware's. Otherwise
        scales are free, and the model runs in the general profile.
    per_channel : bool
        A scale of the weights for each output channel; else one for each layer.
    bits, weight_bits : int
        Of activations and weights, 2 to 8.
    input : str
        What a byte of an image means, as ``INPUT=`` takes it; ``signed``, ``unit``, ``LOW..HIGH``.
        The compiler has to be told the same.
    is_qat : bool
        For ``prepare_qat_pt2e``: scales follow the training.
    """

    def __init__(
        self,
        *,
        power_of_two: bool = True,
        per_channel: bool = True,
        bits: int = 8,
        weight_bits: int = 8,
        input: str = "signed",
        is_qat: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("bits", bits), ("weight_bits", weight_bits)):
            if not isinstance(value, int) or not 2 <= value <= 8:
                raise QuantizeError("StemQuantizer", f"{name} must be 2 to 8, is {value!r}")
        steps = set(parse_input(input).step)
        if len(steps) != 1:
            raise QuantizeError(
                "StemQuantizer",
                f"all channels of the input must have one scale, {input!r} has {len(steps)}",
                "normalise all channels alike, or leave that to a first layer",
            )
        self.bits = bits
        self._input = _fixed(steps.pop(), parse_input(input).is_signed)
        tensor = TensorObserver if power_of_two else FreeTensorObserver
        moving = MovingObserver if power_of_two else FreeMovingObserver
        channel = ChannelObserver if power_of_two else FreeChannelObserver
        self._observer = _fake(moving) if is_qat else tensor
        # As far as sigmoid needs to come below half a unit of its own integers.
        reach = math.log(2) * (bits + 1)
        reaching = with_reach(moving if is_qat else tensor, reach)
        self._reaching = _fake(reaching) if is_qat else reaching
        weights = channel if per_channel else tensor
        scheme = torch.per_channel_symmetric if per_channel else torch.per_tensor_symmetric
        top = limits(weight_bits, True)[1]
        self._weight = QuantizationSpec(
            dtype=torch.int8,
            observer_or_fake_quant_ctr=_fake(weights) if is_qat else weights,
            quant_min=-top,
            quant_max=top,
            qscheme=scheme,
            ch_axis=0 if per_channel else None,
        )

    def annotate(self, model: Any) -> Any:
        """Writes annotations into the nodes of the graph, and gives it back."""
        self._signs: dict[Any, bool] = {}  # of the values that are rounded
        self._roots: dict[Any, Any] = {}  # every node to the one whose integers it passes on
        self._fused: set[Any] = set()
        for node in model.graph.nodes:
            kind = _kind(node)
            if node.op == "placeholder":
                self._round(node, self._input, True)
            elif node in self._fused or node.op != "call_function":
                continue
            elif kind in _POPULATIONS and self._computes(node):
                self._population(node)
            elif kind in _JOINS:
                self._join(node)
            else:
                self._pass_on(node, kind)
        return model

    def validate(self, model: Any) -> None:
        """Nothing more: the compiler checks the model when it reads it."""

    def _computes(self, node: Any) -> bool:
        """Whether it reads something that depends on the input."""
        return any(source in self._roots for source in node.all_input_nodes)

    def _population(self, node: Any) -> None:
        """What becomes one population, from its first sum on."""
        last = node
        is_signed = self._may_be_negative(node)
        if _kind(node) in _WEIGHTED:
            source, weight = node.args[:2]
            shared = SharedQuantizationSpec(self._roots[source])
            annotation = QuantizationAnnotation({source: shared, weight: self._weight})
            annotation._annotated = True
            node.meta[_KEY] = annotation
        has_added = _kind(node) in _SUMS
        while True:
            follower = _only_user(last)
            kind = _kind(follower) if follower is not None else ""
            if kind in _NORMS and _kind(last) in _WEIGHTED:
                is_signed = True
            elif kind in _RECTIFIERS and _clamps_at_zero(follower):
                is_signed = False
            elif (
                kind in _SUMS
                and not has_added
                and is_signed
                and self._other_is_known(follower, last)
            ):
                has_added = True
            else:
                break
            last = follower
            self._fused.add(last)
            if kind in _RECTIFIERS:
                break
        self._round(last, self._activation(is_signed), is_signed)
        for inner in (node, *self._fused):
            self._roots.setdefault(inner, last)

    def _other_is_known(self, add: Any, operand: Any) -> bool:
        """Whether the other operand of an addition is a population that comes before it."""
        others = [source for source in add.all_input_nodes if source is not operand]
        return len(others) == 1 and others[0] in self._roots

    def _may_be_negative(self, node: Any) -> bool:
        if _kind(node) in _AVERAGES:
            return self._is_signed(node.args[0])
        return True

    def _is_signed(self, node: Any) -> bool:
        return self._signs.get(self._roots.get(node, node), True)

    def _join(self, node: Any) -> None:
        """Concatenated populations share one scale, that of the first."""
        roots = list(dict.fromkeys(self._roots[one] for one in node.args[0] if one in self._roots))
        if not roots:
            return
        first, *others = roots
        is_signed = any(self._signs[root] for root in roots)
        if first.op != "placeholder":
            self._round(first, self._activation(is_signed), is_signed)
        for other in others:
            self._round(other, SharedQuantizationSpec(first), is_signed)
        self._roots[node] = first

    def _pass_on(self, node: Any, kind: str) -> None:
        sources = [self._roots[one] for one in node.all_input_nodes if one in self._roots]
        is_signed = bool(sources) and self._signs.get(sources[0], True)
        name = kind.removesuffix("_")
        if kind in _RECTIFIERS and is_signed and _clamps_at_zero(node):
            self._round(node, self._activation(False), False)
        elif sources and (name in _FUNCTIONS or (kind in _RECTIFIERS and is_signed)):
            may_be_negative = is_signed and name not in _POSITIVE
            if name in _NEVER_ZERO and is_signed and sources[0].op != "placeholder":
                self._round(sources[0], self._activation(True, self._reaching), True)
            self._round(node, self._activation(may_be_negative), may_be_negative)
        elif sources:
            self._roots[node] = sources[0]

    def _round(self, node: Any, spec: Any, is_signed: bool) -> None:
        """The value of a node is rounded to integers."""
        annotation = node.meta.get(_KEY) or QuantizationAnnotation()
        annotation.output_qspec = spec
        annotation._annotated = True
        node.meta[_KEY] = annotation
        self._signs[node] = is_signed
        self._roots[node] = node

    def _activation(self, is_signed: bool, observer: Any = None) -> QuantizationSpec:
        top = limits(self.bits, is_signed)[1]
        return QuantizationSpec(
            dtype=torch.int8 if is_signed else torch.uint8,
            observer_or_fake_quant_ctr=observer or self._observer,
            quant_min=-top if is_signed else 0,
            quant_max=top,
            qscheme=torch.per_tensor_symmetric,
        )


def round_biases(model: Any) -> Any:
    """Puts the biases of a converted model onto the scales of its accumulators, in place.

    What is worth one unit there is the product of the scales of input and weights: to it torch
    rounds nothing, and the hardware everything. Gives the model back.
    """
    for node in model.graph.nodes:
        if _kind(node) not in _WEIGHTED or len(node.args) < 3 or node.args[2] is None:
            continue
        source, weight, bias = node.args[:3]
        step = _scale_of(model, _dequantized(source))
        weight_step = _scale_of(model, weight)
        if step is None or weight_step is None or bias.op != "get_attr":
            continue
        owner, _, name = str(bias.target).rpartition(".")
        tensor = getattr(model.get_submodule(owner), name)
        unit = (step * weight_step).to(torch.float64)
        with torch.no_grad():
            tensor.copy_((tensor.to(torch.float64) / unit).round() * unit)
    return model


def _dequantized(node: Any) -> Any:
    """The call that made a value real; past what only passes values on."""
    while node.op == "call_function" and "dequantize" not in str(node.target):
        if not node.all_input_nodes:
            break
        node = node.all_input_nodes[0]
    return node


def _scale_of(model: Any, node: Any) -> torch.Tensor | None:
    """Scales of a call that dequantizes; None for other nodes."""
    if "dequantize" not in str(node.target):
        return None
    scale = node.args[1]
    if isinstance(scale, torch.fx.Node):
        owner, _, name = str(scale.target).rpartition(".")
        scale = getattr(model.get_submodule(owner), name)
    return torch.as_tensor(scale, dtype=torch.float64)


def _fake(observer: type) -> Callable[..., Any]:
    made: Callable[..., Any] = FakeQuantize.with_args(observer=observer)
    return made


def _fixed(scale: float, is_signed: bool) -> FixedQParamsQuantizationSpec:
    low, high = limits(INPUT_BITS, is_signed)
    return FixedQParamsQuantizationSpec(
        dtype=torch.int8 if is_signed else torch.uint8,
        scale=scale,
        zero_point=0,
        quant_min=low,
        quant_max=high,
        qscheme=torch.per_tensor_affine,
    )


def _kind(node: Any) -> str:
    """The operator's name, such as ``conv2d``; empty for nodes that call none."""
    target = str(node.target) if node.op == "call_function" else ""
    return target.split(".")[1] if target.startswith("aten.") else ""


def _only_user(node: Any) -> Any:
    users = list(node.users)
    return users[0] if len(users) == 1 else None


def _clamps_at_zero(node: Any) -> bool:
    """Whether a rectifier lets nothing below zero through."""
    if _kind(node) in {"relu", "relu_", "relu6"}:
        return True
    defaults = {"hardtanh": -1.0, "hardtanh_": -1.0}
    low = node.args[1] if len(node.args) > 1 else node.kwargs.get("min", defaults.get(_kind(node)))
    return bool(low == 0)
