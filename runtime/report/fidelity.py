# SPDX-License-Identifier: Apache-2.0
"""How near the quantized network is to the float one, with labels or without.

Signal-to-quantization-noise ratio, per layer and for the input, in decibels:
``10 log10(sum r^2 / sum (q - r)^2)`` over all values of all images, r the float network's and q
what the integers stand for. Noise of the layers before is in it, as in a run.
"""

import math
from typing import Any

import numpy as np
import torch

from stemcore.compiler.frontend.passes import form_layers
from stemcore.compiler.frontend.run_graph import run_graph
from stemcore.compiler.stages import affordable
from stemcore.golden.network.network import INPUT

from ..prepared import Prepared, torch_values
from .accuracy import predictions

# At most so many images, and fewer where they would cost more multiply-accumulates in all.
IMAGES, MACS = 64, 5e9
BATCH = 16


def measure_fidelity(prepared: Prepared) -> dict[str, Any]:
    """``images`` that it rests on, ``agreement``, the share of them whose largest output is the
    float network's (null where an output has one value), and ``sqnr_db`` by layer, null without
    noise or without signal. Where the network returns several tensors both are those of the first,
    and ``outputs`` has them for each."""
    images = prepared.dataset.test_images
    n = min(affordable(IMAGES, MACS, prepared.n_macs, 1), len(images))
    graph = form_layers(prepared.compilation.graph)
    scales = prepared.quantized.network.scales()
    # A layer that only rounds for the next one has no value in the float network.
    known = {node.name for node in graph.nodes}
    layers = [one.name for one in prepared.quantized.network.layers if one.name in known]
    signal, noise = (dict.fromkeys((INPUT, *layers), 0.0) for _ in range(2))
    ends = dict.fromkeys(graph.ends, 0)  # images in which the largest value is the same
    sizes = dict.fromkeys(graph.ends, 0)
    for start in range(0, n, BATCH):
        part = slice(start, min(start + BATCH, n))
        real_input = prepared.input_map.real(images[part])
        real = run_graph(graph, torch.from_numpy(real_input))
        integers = torch_values(prepared.quantized, prepared.integers[part])
        found = {INPUT: prepared.input_map.real_of_codes(prepared.integers[part])}
        found |= {name: integers[name] * scales[name] for name in layers}
        for name, got in found.items():
            wanted = real[name].numpy().astype(np.float64)
            signal[name] += float(np.square(wanted).sum())
            noise[name] += float(np.square(got - wanted).sum())
        for end in ends:
            output = real[end].numpy()
            sizes[end] = output[0].size
            ends[end] += int((predictions(output) == predictions(found[end])).sum())
    agreed = {end: ends[end] / n if n and sizes[end] > 1 else None for end in ends}
    ratios = {name: _decibels(signal[name], noise[name]) for name in signal}
    several = [
        {
            "name": output.name,
            "layer": output.source,
            "agreement": agreed[output.source],
            "sqnr_db": ratios[output.source],
        }
        for output in graph.results.outputs
    ]
    return {
        "images": n,
        "agreement": agreed[graph.ends[0]],
        "sqnr_db": ratios,
        **({"outputs": several} if several else {}),
    }


def _decibels(signal: float, noise: float) -> float | None:
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None
