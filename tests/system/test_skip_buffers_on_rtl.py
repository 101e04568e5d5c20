# SPDX-License-Identifier: Apache-2.0
"""A network with residual connections with and without skip buffers: the same spikes of its own
layers on the gateware, on fewer cores and in more time."""

import numpy as np
import pytest
import torch
from torch import nn

import stemcore
from stemcore.compiler.errors import CompileError

N_IMAGES = 4


class Residual(nn.Module):
    """Two skips, one inside the other."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(4))
        self.last = nn.Linear(4 * 6 * 6, 5)

    def forward(self, x):
        x = torch.relu(self.first(x))
        a = torch.relu(self.body[0](x))
        b = torch.relu(self.body[1](a)) + a
        y = torch.relu(self.body[3](torch.relu(self.body[2](b))) + x)
        return self.last(y.flatten(1))


def compiled(skip_buffers, **options):
    images = np.random.default_rng(0).integers(0, 256, (32, 1, 6, 6)).astype(np.uint8)
    return stemcore.compile(
        Residual().eval(),
        calibration=images,
        input="signed",
        preset="tiny",
        skip_buffers=skip_buffers,
        **options,
    )


@pytest.mark.sim
@pytest.mark.slow
def test_spikes_are_the_same_without_skip_buffers():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (N_IMAGES, 1, 6, 6)).astype(np.uint8)
    images[1], images[2] = 128, 0  # no spike at all, and all bits of every pixel
    with_them, without = (compiled(choice) for choice in (None, False))
    assert len(without.program.layers) < len(with_them.program.layers)
    results = [each.run(images, engine="rtl") for each in (with_them, without)]
    assert all(result.bit_exact for result in results)
    np.testing.assert_array_equal(results[0].integers, results[1].integers)
    assert results[0].values.keys() > results[1].values.keys()
    for name, values in results[1].values.items():
        np.testing.assert_array_equal(results[0].values[name], values, name)
    assert without.estimate().interval > with_them.estimate().interval
    intervals = [np.diff(result.timing.end).mean() for result in results]
    assert intervals[1] > intervals[0]


def test_integration_per_time_step_refuses_to_do_without():
    with pytest.raises(CompileError, match=r"^skip_buffers: must be all with integration late"):
        compiled(False, integration="late")
