# SPDX-License-Identifier: Apache-2.0
"""Models of other float types than float32: what they are read as, and the sentence about it."""

import copy
from collections.abc import Iterable

import torch


def in_float32(module: torch.nn.Module) -> tuple[torch.nn.Module, str]:
    """A module with all its floats in float32, and what to say of it; nothing where it had them.

    The module itself stays as it is: a copy is cast.
    """
    note = describe_cast([*module.parameters(), *module.buffers()])
    return (copy.deepcopy(module).float() if note else module), note


def describe_cast(tensors: Iterable[torch.Tensor]) -> str:
    """What reading these parameters as float32 changes, in a sentence; empty where it is nothing.

    Quantization rests on float32 evaluations; float16 and bfloat16 are exact in it, float64 is
    rounded.
    """
    found = {tensor.dtype for tensor in tensors if tensor.is_floating_point()} - {torch.float32}
    if not found:
        return ""
    names = " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in found))
    how = "rounded" if torch.float64 in found else "exactly"
    return f"the model's {names} parameters are read as float32, {how}"
