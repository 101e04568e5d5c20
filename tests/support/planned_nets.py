# SPDX-License-Identifier: Apache-2.0
"""Torch networks from plans: plain data that a test draws, shrinks, prints and keeps in a file.

A plan is ``{"shape": [C, H, W], "seed": n, "steps": [step, ..]}``. A step is ``{"op": name, "of":
i, ..}``: an operator of ``OPERATORS`` on value ``i``, where 0 is the input and k what step k gave;
the other keys are the operator's. The last value is the output.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from hypothesis import strategies as st
from torch import nn

Plan = Mapping[str, Any]
Step = Mapping[str, Any]
KEYS = ("op", "of", "with")


def _sum(step: Step, channels: int) -> nn.Module:
    return _Two(torch.add)


def _concatenation(step: Step, channels: int) -> nn.Module:
    return _Two(lambda a, b: torch.cat([a, b], 1))


class _Two(nn.Module):
    """An operator on two values."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.function(a, b)


class _Dense(nn.Module):
    """A dense layer over all of a value, which becomes an image of one position."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.flatten(1))[:, :, None, None]


def _convolution(step: Step, channels: int) -> nn.Module:
    settings = {name: value for name, value in step.items() if name not in (*KEYS, "out")}
    return nn.Conv2d(channels, step["out"], **settings)


OPERATORS: dict[str, Callable[[Step, int], nn.Module]] = {
    "conv": _convolution,
    "relu": lambda step, channels: nn.ReLU(),
    "relu6": lambda step, channels: nn.ReLU6(),
    "norm": lambda step, channels: nn.BatchNorm2d(channels),
    "max": lambda step, channels: nn.MaxPool2d(step["kernel"], step["stride"], step["padding"]),
    "mean": lambda step, channels: nn.AvgPool2d(step["kernel"], step["stride"], step["padding"]),
    "dense": lambda step, channels: _Dense(step["in"], step["out"]),
    "add": _sum,
    "cat": _concatenation,
}


class PlannedNet(nn.Module):
    """The network of a plan, in evaluation mode, with weights that its seed decides."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.steps = plan["steps"]
        self.parts = nn.ModuleList()
        channels = [plan["shape"][0]]
        with torch.random.fork_rng():
            torch.manual_seed(plan["seed"])
            for step in self.steps:
                part = OPERATORS[step["op"]](step, channels[step["of"]])
                self.parts.append(part)
                channels.append(_channels_after(step, channels))
                if isinstance(part, nn.BatchNorm2d):
                    part.running_mean.uniform_(-1, 1)
                    part.running_var.uniform_(0.1, 3)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = [x]
        for step, part in zip(self.steps, self.parts, strict=True):
            others = [values[step["with"]]] if "with" in step else []
            values.append(part(values[step["of"]], *others))
        return values[-1]


def _channels_after(step: Step, channels: list[int]) -> int:
    if step["op"] == "cat":
        return channels[step["of"]] + channels[step["with"]]
    return step.get("out", channels[step["of"]])


def _window(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


@st.composite
def plans(draw: Callable[..., Any], max_steps: int = 6) -> Plan:
    """Plans, the simplest of which is one ReLU on a single pixel: failures shrink towards it."""

    def number(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    shapes = [(number(1, 4), number(1, 9), number(1, 9))]
    steps: list[Step] = []
    for _ in range(number(1, max_steps)):
        i = draw(st.sampled_from(range(len(shapes))[::-1]))  # the last value first
        step, shape = _draw_step(draw, number, i, shapes)
        steps.append(step)
        shapes.append(shape)
    return {"shape": list(shapes[0]), "seed": number(0, 999), "steps": steps}


def _draw_step(draw, number, i, shapes):
    """A step on value ``i``, and the shape of what it gives."""
    channels, height, width = shape = shapes[i]
    op = draw(
        st.sampled_from(["relu", "conv", "max", "mean", "relu6", "norm", "add", "cat", "dense"])
    )
    if op == "add":
        return {"op": op, "of": i, "with": draw(_like(shapes, lambda s: s == shape))}, shape
    if op == "cat":
        j = draw(_like(shapes, lambda s: s[1:] == shape[1:]))
        return {"op": op, "of": i, "with": j}, (channels + shapes[j][0], height, width)
    if op == "dense":
        out = number(1, 6)
        return {"op": op, "of": i, "in": channels * height * width, "out": out}, (out, 1, 1)
    if op in ("max", "mean"):
        kernel = number(1, min(3, height, width))
        stride, padding = number(1, kernel + 1), number(0, kernel // 2)
        step = {"op": op, "of": i, "kernel": kernel, "stride": stride, "padding": padding}
        sizes = (_window(size, kernel, stride, padding) for size in (height, width))
        return step, (channels, *sizes)
    if op == "conv":
        return _draw_convolution(number, i, shape)
    return {"op": op, "of": i}, shape


def _draw_convolution(number, i, shape):
    channels, height, width = shape
    kernel = number(1, 7)
    padding, dilation = number(0, kernel - 1), number(1, 2)
    while dilation * (kernel - 1) + 1 > min(height, width) + 2 * padding:
        kernel, dilation = kernel - 1, 1
        padding = min(padding, kernel - 1) if kernel > 1 else 0
    is_depthwise = bool(number(0, 1))
    out = channels * number(1, 2) if is_depthwise else number(1, 8)
    step = {
        **{"op": "conv", "of": i, "out": out, "kernel_size": kernel, "stride": number(1, 4)},
        **{"padding": padding, "dilation": dilation, "groups": channels if is_depthwise else 1},
        "bias": bool(number(0, 1)),
    }
    sizes = (_window(n, kernel, step["stride"], padding, dilation) for n in (height, width))
    return step, (out, *sizes)


def _like(shapes, fits):
    return st.sampled_from([j for j, shape in enumerate(shapes) if fits(shape)][::-1])
