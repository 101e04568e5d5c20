# SPDX-License-Identifier: Apache-2.0
"""What a run says of a model that came quantized: its profile, and how far both graphs agree."""

from collections.abc import Callable

from stemcore.compiler.pipeline import Compilation
from stemcore.compiler.quantization.given_choices import is_quantized
from stemcore.compiler.quantization.quantize_given import agreement

IMAGES = 32


def say_agreement(compilation: Compilation, say: Callable[[str], None]) -> None:
    """One line on the profile and one for each layer; nothing for float models.

    Compares on the first ``IMAGES`` images of calibration.
    """
    images = compilation.inputs.calibration
    if images is None or not is_quantized(compilation.graph):
        return
    network = compilation.quantized
    scales = "all scales are powers of two" if network.profile == "exact" else "scales are free"
    say(f"quantized    as the model came; {scales}: {network.profile} profile")
    factors = compilation.options.input_map.factors
    for one in agreement(compilation.graph, network, images[:IMAGES], factors):
        say(f"integers     {one}")
