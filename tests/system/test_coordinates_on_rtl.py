# SPDX-License-Identifier: Apache-2.0
"""Sources longer than the coordinate tables of a core: tables begin where the tile's sources do."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from stemcore import compile
from stemcore.golden.spec.presets import PRESETS
from tests.support.torch_nets import chain

# 128 columns and 64 rows in packets, tables of 32 and 16.
WIDE = replace(PRESETS["tiny"], y_width=6, x_width=7, n_table_y=16, n_table_x=32)

NETWORKS = {
    "sequence": (
        (1, 100),
        lambda: chain(nn.Conv1d(1, 4, 5, stride=2, padding=2), nn.ReLU(), nn.Conv1d(4, 2, 3)),
    ),
    "image": (
        (1, 40, 70),
        lambda: chain(nn.Conv2d(1, 4, 3, stride=3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 2)),
    ),
}


def build(name):
    shape, network = NETWORKS[name]
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, *shape)).astype(np.uint8)
    images[1] = 0
    images[2] *= rng.random(shape) < 0.05
    return compile(network().eval(), calibration=images, input="unit", preset=WIDE), images


@pytest.mark.parametrize("name", NETWORKS)
def test_every_spike_finds_its_entry_in_a_table_shorter_than_its_source(name):
    compiled, images = build(name)
    assert compiled.run(images, engine="program").bit_exact is True


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_the_gateware_does_as_well(name):
    compiled, images = build(name)
    assert compiled.run(images, engine="rtl").bit_exact is True
