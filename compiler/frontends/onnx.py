# SPDX-License-Identifier: Apache-2.0
"""An ONNX file: a float network, or one that is quantized (QDQ, QCDQ, QONNX)."""

from pathlib import Path

from ..errors import CaptureError
from ..frontend.graph import Graph
from .registry import Frontend, Sizes


def read(model: object, input_shape: Sizes | None, name: str) -> Graph:
    """:func:`stemcore.compiler.frontend.onnx_files.torch_network.capture_onnx` of the file."""
    from ..frontend.onnx_files.model import read_onnx
    from ..frontend.onnx_files.torch_network import capture_onnx

    assert isinstance(model, Path)
    read = read_onnx(model)
    if input_shape is not None and input_shape != read.sizes:
        raise CaptureError(
            "capture", f"the file's input has the shape {read.sizes}, got {input_shape}"
        )
    return capture_onnx(read, name)


FRONTEND = Frontend("the path of an ONNX file", read, suffixes=(".onnx",))
