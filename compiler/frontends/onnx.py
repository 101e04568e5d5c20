# SPDX-License-Identifier: Apache-2.0
"""An ONNX file: a float network, or one that is quantized (QDQ, QCDQ, QONNX)."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from ..errors import CaptureError
from ..frontend.graph import Graph
from ..input_parts import is_several
from .registry import Frontend, Sizes


def read(model: object, input_shape: Sizes | None, name: str) -> Graph:
    """:func:`stemcore.compiler.frontend.onnx_files.torch_network.capture_onnx` of the file."""
    from ..frontend.onnx_files.model import read_onnx
    from ..frontend.onnx_files.torch_network import capture_onnx

    assert isinstance(model, Path)
    read = read_onnx(model)
    if input_shape is not None and not _fits(input_shape, read.inputs):
        shapes = ", ".join(f"{name} {sizes}" for name, sizes in read.inputs.items())
        raise CaptureError("capture", f"the file has the inputs {shapes}; got {input_shape}")
    return capture_onnx(read, name)


def _fits(given: Sizes, inputs: Mapping[str, tuple[int, ...]]) -> bool:
    if isinstance(given, Mapping):
        return dict(given) == dict(inputs)
    several = given if is_several(given) else (given,)
    return [tuple(cast("tuple[int, ...]", one)) for one in several] == list(inputs.values())


FRONTEND = Frontend("the path of an ONNX file", read, suffixes=(".onnx",))
