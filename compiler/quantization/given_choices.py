# SPDX-License-Identifier: Apache-2.0
"""Whether a model is quantized already, and what it then leaves nobody to choose."""

from ..errors import QuantizeError
from ..frontend.graph import Graph
from ..frontend.ops.fake_quantize import FakeQuantize
from ..frontend.ops.layer import Layer
from .layer_bits import LayerBits
from .quantized import PAPER


def is_quantized(graph: Graph) -> bool:
    """Whether a captured graph, or one of layers, holds the integers of a quantized model."""
    return any(
        isinstance(node.op, FakeQuantize)
        or (isinstance(node.op, Layer) and node.op.rounding is not None)
        for node in graph.nodes
    )


def refuse_choices(
    profile: str,
    bits: LayerBits,
    weight_bits: LayerBits,
    per_channel: bool | None,
    bias: str | None,
    calibration_method: str | None,
) -> None:
    """``QuantizeError`` for what a model that is quantized already has decided for itself."""
    chosen = {
        "bits": bits != 8,
        "weight_bits": weight_bits != 8,
        "per_channel": per_channel is not None,
        "bias": bias is not None,
        "calibration_method": calibration_method is not None,
        "profile": profile == PAPER,
    }
    for name, is_chosen in chosen.items():
        if is_chosen:
            raise QuantizeError(
                name,
                "a model that is quantized already has its own scales, bits and bias, which are "
                "taken as they are",
                f"leave {name} out, or compile the float model",
            )
