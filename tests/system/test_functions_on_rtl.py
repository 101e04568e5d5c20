# SPDX-License-Identifier: Apache-2.0
"""Functions by activation table: torch, golden, program and gateware fire the same spikes."""

import numpy as np
import pytest

import stemcore
from stemcore.runtime.prepared import torch_values
from tests.support.pointwise_nets import NETS, build


@pytest.mark.parametrize(
    "engine", ["program", pytest.param("rtl", marks=[pytest.mark.sim, pytest.mark.slow])]
)
@pytest.mark.parametrize("name", NETS)
def test_functions_are_the_same_on_every_engine(name, engine, rng):
    module, shape = build(name)
    images = rng.integers(-127, 128, (16, *shape))
    images[1] = 0
    compiled = stemcore.compile(module, calibration=images, name=name)
    result = compiled.run(images[:3], engine=engine)  # raises at the first difference
    assert result.bit_exact
    in_torch = torch_values(compiled.compilation.quantized_model, images[:3])
    for layer in compiled.compilation.quantized.layers:
        np.testing.assert_array_equal(in_torch[layer.name], result.golden[layer.name])
    assert any(layer.function for layer in compiled.compilation.quantized.layers) or name == (
        "extremes"
    )


@pytest.mark.parametrize("integration", ["late", "scaled"])
def test_cores_of_16_bits_read_the_same_tables(integration, rng):
    module, shape = build("branches")
    images = rng.integers(-127, 128, (16, *shape))
    compiled = stemcore.compile(module, calibration=images, integration=integration)
    assert compiled.run(images[:2], engine="program").bit_exact
    wanted = compiled.compilation.exact.layers[0].table
    np.testing.assert_array_equal(compiled.network.layers[0].table, wanted)
