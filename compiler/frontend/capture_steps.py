# SPDX-License-Identifier: Apache-2.0
"""Constants of quantized graphs: integers become real weights again, and their step is kept."""

import re
from typing import Any

import torch

from ..errors import CaptureError
from .fx import Steps
from .ops.fake_quantize import REQUANTIZE

LIBRARY, FAKE = "quantized_decomposed.", "aten.fake_quantize"
_REAL = re.compile(
    rf"(?:{re.escape(LIBRARY)}dequantize|aten\.fake_quantize)_per_(tensor|channel)[._]"
)
_KNOWN = re.compile(
    rf"{re.escape(LIBRARY)}(de)?quantize_per_(tensor|channel)\.(default|tensor)$"
    r"|aten\.fake_quantize_per_(tensor|channel)_affine\.(default|tensor_qparams)$"
)
_QUANTIZED = re.compile(r"quantized_decomposed|quantize_affine|quantize_per_|^quantized\.")


def check_formats(program: torch.export.ExportedProgram) -> None:
    """Raises unless the graph's quantizations are of the one library that is read."""
    for node in program.graph.nodes:
        target = str(node.target)
        is_call = node.op == "call_function" and _QUANTIZED.search(target)
        if is_call and not _KNOWN.match(target):
            raise CaptureError(
                node.name,
                "a quantized graph must quantize and dequantize by quantized_decomposed, with "
                f"scales that are fixed, as convert_pt2e leaves it; it calls {target}",
                REQUANTIZE,
            )


def as_float32(value: Any) -> Any:
    """A tensor in the type that the quantized library insists on."""
    is_real = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.float() if is_real else value


def steps_of(fx_node: Any, arguments: tuple[Any, ...]) -> Steps | None:
    """What one integer is worth of a constant that a call makes real; None for other calls.

    ``CaptureError`` for zero-points other than 0.
    """
    match = _REAL.match(str(fx_node.target))
    if match is None:
        return None
    scale, zero_point = (torch.as_tensor(value, dtype=torch.float64) for value in arguments[1:3])
    if zero_point.any():
        raise CaptureError(
            fx_node.name,
            "weights must have the zero-point 0, some have "
            f"{int(zero_point.flatten()[zero_point.flatten().nonzero()[0]])}",
            REQUANTIZE,
        )
    axis = int(arguments[3]) if match.group(1) == "channel" else None
    return Steps(scale.reshape(-1).numpy().copy(), axis)
