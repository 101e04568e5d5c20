# SPDX-License-Identifier: Apache-2.0
"""Outputs that are joined once they are flat come in the order of torch."""

import numpy as np
import pytest
import torch
from torch import nn

import stemcore


class Heads(nn.Module):
    """Two heads of one size or of two, joined before or after they are flattened."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.a = nn.Conv2d(1, 2, 3, padding=1)
        self.b = nn.Conv2d(1, 2, 1 if kind in ("same size", "flattened last") else 3)

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        if self.kind == "flattened last":
            return torch.cat([a, b], 1).flatten(1)
        joined = torch.cat([a.flatten(1), b.flatten(1)], 1)
        return joined.relu() if self.kind == "rectified" else joined


@pytest.mark.medium
@pytest.mark.parametrize("kind", ["same size", "other size", "flattened last", "rectified"])
def test_joined_outputs_are_in_the_order_of_torch(kind, rng):
    torch.manual_seed(int(rng.integers(1000)))
    net = Heads(kind).eval()
    images = rng.integers(-127, 128, (20, 1, 6, 6))
    images[1] = 0
    compiled = stemcore.compile(net, calibration=images, calibration_method="max", input="signed")
    result = compiled.run(images[:3], engine="program")
    assert result.bit_exact
    wanted = net(torch.from_numpy(images[:3] / 128.0).float()).detach().numpy()
    scales = compiled.compilation.quantized.scales()
    # The heads are rounded, and so is what they are copied to; weights are rounded too.
    unit = max(scales["a"], scales["b"], scales[compiled.network.output.name])
    np.testing.assert_allclose(result.outputs.reshape(wanted.shape), wanted, atol=2 * unit)
