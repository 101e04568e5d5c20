# SPDX-License-Identifier: Apache-2.0
"""Averages over 9, 15 and 36 values in a quantized model: torch, golden, program and gateware."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import stemcore
from stemcore.compiler.errors import PartitionError
from stemcore.runtime.prepared import torch_values


def rounded(x, scale, low, high):
    return torch.fake_quantize_per_tensor_affine(x, scale, 0, low, high)


class Averages(nn.Module):
    """Averages of unsigned and of signed values; the first windows overlap."""

    shape = (2, 13, 13)

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        weight = torch.randint(-127, 128, (5, 2, 3, 3), generator=generator) / 512.0
        self.register_buffer("weight", weight)

    def forward(self, x):
        x = rounded(x, 2.0**-7, -127, 127)
        zeros = torch.zeros(5, dtype=torch.int32)
        scales = torch.full((5,), 2.0**-9)
        weight = torch.fake_quantize_per_channel_affine(self.weight, scales, zeros, 0, -127, 127)
        y = rounded(torch.relu(F.conv2d(x, weight, padding=1)), 2.0**-6, 0, 255)
        y = rounded(F.avg_pool2d(y, 3, 2), 2.0**-7, 0, 255)
        return {
            "mean": rounded(y.mean((2, 3)), 2.0**-7, 0, 255),
            "signed": rounded(F.avg_pool2d(x, (3, 5), (5, 4)), 2.0**-6, -127, 127),
        }


@pytest.fixture
def compiled(rng):
    images = rng.integers(-127, 128, (6, *Averages.shape)) / 128
    images[1] = 0
    return stemcore.compile(Averages().eval(), calibration=images, input="signed"), images


@pytest.mark.parametrize(
    "engine", ["program", pytest.param("rtl", marks=[pytest.mark.sim, pytest.mark.slow])]
)
def test_averages_are_the_same_on_every_engine(compiled, engine):
    model, images = compiled
    result = model.run(images[:3], engine=engine)  # raises at the first difference
    assert result.bit_exact
    integers = model.integers(images[:3])
    in_torch = torch_values(model.compilation.quantized_model, integers)
    layers = model.compilation.quantized.layers
    assert sum(layer.name.endswith(".stage1") for layer in layers) == 2
    for layer in layers:
        np.testing.assert_array_equal(in_torch[layer.name], result.golden[layer.name])
    wanted = Averages()(torch.from_numpy(images[:3]).float())
    for name, values in wanted.items():
        found = result.outputs[name].reshape(values.shape)
        np.testing.assert_array_equal(found, values.numpy(), err_msg=name)
        assert len(np.unique(found)) > 4


def test_cores_without_multipliers_are_refused_with_the_reason():
    images = np.random.default_rng(0).integers(-127, 128, (4, *Averages.shape)) / 128
    with pytest.raises(PartitionError, match=r"multipliers must be 1 .* averages of quantized"):
        stemcore.compile(
            Averages().eval(), calibration=images, input="signed", preset="ecp5_32_lean"
        )
