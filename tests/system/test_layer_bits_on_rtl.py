# SPDX-License-Identifier: Apache-2.0
"""Weights and activations of few bits by layer: torch, golden, program and gateware agree."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import stemcore
from stemcore.runtime.prepared import torch_values


class Mixed(nn.Module):
    """Convolutions, a residual addition, a pooling and a dense layer."""

    shape = (2, 8, 8)

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.third = nn.Conv2d(6, 8, 3, stride=2)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        y = torch.relu(self.first(x))
        y = torch.relu(self.second(y) + y)
        y = F.max_pool2d(torch.relu(self.third(y)), 3)
        return self.fc(y.flatten(1))


CASES = {
    "2-bit weights": {"weight_bits": 2},
    "3-bit weights": {"weight_bits": 3, "calibration_method": "percentile:99"},
    "2-bit weights, 2-bit activations": {"weight_bits": 2, "bits": 2},
    "mixed": {
        "weight_bits": {"*": 4, "first": 8, "fc": 2},
        "bits": "3,first=5,third=8",
        "calibration_method": "max",
    },
    "mixed, late": {"weight_bits": "3,first=8", "bits": "4,first=6", "integration": "late"},
    "mixed, general": {"weight_bits": "2,fc=5", "bits": "2,fc=8", "profile": "general"},
}


def images(rng, n=24):
    """Noise, sparse images, one spike, none, all."""
    x = np.clip(np.round(rng.normal(size=(n, *Mixed.shape)) * 50), -127, 127).astype(np.int64)
    x[1] *= rng.random(x[1].shape) < 0.03
    x[2:4] = 0
    x[3, 1, 4, 4] = 1
    x[4] = 127
    return x


@pytest.mark.parametrize(
    "engine", ["program", pytest.param("rtl", marks=[pytest.mark.sim, pytest.mark.slow])]
)
@pytest.mark.parametrize("case", CASES)
def test_few_bits_are_exact_on_every_engine(case, engine, rng):
    torch.manual_seed(3)
    options, x = CASES[case], images(rng)
    compiled = stemcore.compile(Mixed().eval(), calibration=x, input="signed", **options)
    result = compiled.run(x[:5], engine=engine)  # raises at the first difference
    assert result.bit_exact
    quantized = compiled.compilation.quantized
    if options.get("integration") is None:
        in_torch = torch_values(compiled.compilation.quantized_model, x[:5])
        for layer in quantized.layers:
            np.testing.assert_array_equal(in_torch[layer.name], result.golden[layer.name])
    for layer in quantized.layers:
        learned = [b.weight for b in layer.branches if b.weight.size > len(b.weight)]
        largest = max(int(np.abs(weight).max()) for weight in learned)
        assert largest <= 2 ** (_weight_bits(options["weight_bits"], layer.name) - 1) - 1


def _weight_bits(choice, name):
    if isinstance(choice, str):
        others, *parts = choice.split(",")
        return {"*": int(others), **{p.split("=")[0]: int(p[-1]) for p in parts}}.get(
            name, int(others)
        )
    return choice if isinstance(choice, int) else choice.get(name, choice["*"])
