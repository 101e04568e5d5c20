# SPDX-License-Identifier: Apache-2.0
"""The lowered network is integers in golden's form, and its own definition of every shape."""

import numpy as np
import pytest

from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.quantization.quantize import quantize
from stemcore.compiler.quantization.scales import SHIFTS
from stemcore.golden.network.layers import check_layer
from stemcore.golden.network.network import INPUT
from tests.support.torch_nets import NETS, build


@pytest.mark.parametrize("profile", ["exact", "general"])
@pytest.mark.parametrize("name", NETS)
def test_every_field_is_within_its_limits(name, profile, rng):
    module, shape = build(name)
    x = rng.integers(-127, 128, (8, *shape)).astype(np.int8)
    network = lower(quantize(capture(module, shape, name), x, profile=profile))
    assert network.name == name
    assert (network.input.shape, network.input.limits) == (shape, (-127, 127))
    assert set(network.scales) == {INPUT, *(layer.name for layer in network.layers)}
    used = set()
    for layer in network.layers:
        check_layer(layer, network)
        for connection in layer.connections:
            assert connection.weight.dtype == np.int8
            assert np.abs(connection.weight.astype(int)).max() <= 127
            assert connection.shift in SHIFTS
            source = network.population(connection.source)
            assert connection.shift + source.bits - 1 <= 15
            used.add(connection.source)
        for vector in (layer.bias, layer.multiplier, layer.shift):
            assert vector.dtype == np.int64
        assert (np.abs(layer.bias) < 1 << 31).all()
        assert ((layer.shift >= 0) & (layer.shift < 48)).all()
        if profile == "exact":
            assert (layer.multiplier == 1).all()
        else:
            assert ((layer.multiplier >= 1 << 15) & (layer.multiplier < 1 << 16)).all()
        assert 0 <= layer.bias_shift <= 3
    assert used == {INPUT, *(layer.name for layer in network.layers[:-1])}


def test_a_quantized_network_lowers_like_its_module(rng):
    module, shape = build("vgg")
    model = quantize(capture(module, shape), rng.integers(-127, 128, (4, *shape)))
    a, b = lower(model), lower(model.network)
    assert [layer.name for layer in a.layers] == [layer.name for layer in b.layers]


def test_only_a_clamp_needs_a_table(rng):
    module, shape = build("depthwise")
    module[0].weight.data *= 20
    x = rng.integers(-127, 128, (8, *shape))
    first, second, last = lower(quantize(capture(module, shape), x)).layers
    assert last.table is None
    assert first.table.shape == (256,)
    assert first.table.tolist() == np.minimum(np.arange(256), first.table.max()).tolist()
