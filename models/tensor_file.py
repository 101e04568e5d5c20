# SPDX-License-Identifier: Apache-2.0
"""Reading safetensors files that somebody else wrote."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from stemcore.files import open_file


def read_tensors(path: Path | str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors of a safetensors file, and its metadata as text. Nothing is unpickled.

    Raises ``ValueError`` with the reason, in one line, for what is no such file.
    """
    try:
        # The library takes names that are UTF-8 alone; the system has one for every open file.
        with (
            open_file(path) as opened,
            safe_open(_in_utf8(path, opened.fileno()), "pt") as file,
        ):
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except Exception as error:  # of any kind: the file may hold anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ValueError(reason) from error


def _in_utf8(path: Path | str, descriptor: int) -> str:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return f"/proc/self/fd/{descriptor}"
    return str(path)


def parse_metadata(texts: dict[str, str]) -> dict[str, Any]:
    """The values of metadata that were written as JSON; ``ValueError`` where one is none."""
    try:
        return {name: json.loads(text) for name, text in texts.items()}
    except RecursionError as error:
        raise ValueError("metadata must be JSON, one is nested too deep") from error
    except ValueError as error:
        raise ValueError(f"metadata must be JSON, {error}") from error


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether no value is NaN or infinite; of types of 8 bits too, which torch does not ask."""
    narrow = tensor.is_floating_point() and tensor.element_size() == 1
    return bool(torch.isfinite(tensor.float() if narrow else tensor).all())
