# SPDX-License-Identifier: Apache-2.0
"""All ONNX operators that are known: each file registers its own."""

from . import torch_moves, torch_pools, torch_sums
from .torch_registry import OPERATIONS

assert torch_moves and torch_pools and torch_sums

__all__ = ["OPERATIONS"]
