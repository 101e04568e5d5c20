# SPDX-License-Identifier: Apache-2.0
"""The quantizer for torchao: ``from stemcore.pt2e import StemQuantizer, round_biases``.

Needs the extra ``pt2e``. :mod:`stemcore.compiler.quantization.torch_quantizer` says what it does.
"""

from typing import TYPE_CHECKING, Any

from .extras import require_extra

if TYPE_CHECKING:
    from .compiler.quantization.torch_quantizer import StemQuantizer, round_biases

__all__ = ["StemQuantizer", "round_biases"]


def __getattr__(name: str) -> Any:
    """The names are imported when somebody asks for them; ``MissingExtraError`` without torchao."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_extra("pt2e", "the quantizer for torchao")
    from .compiler.quantization import torch_quantizer

    return getattr(torch_quantizer, name)
