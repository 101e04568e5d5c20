# SPDX-License-Identifier: Apache-2.0
"""Activation tables: their names, their file, and a network that holds them."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from stemcore.compiler.errors import FormatError, SparsifyError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.quantization.quantize import quantize
from stemcore.compiler.quantization.quantized_model import QuantizedModel
from stemcore.compiler.sparsity.tables import (
    apply_tables,
    find_tables,
    named_table,
    read_tables,
    with_tables,
)
from stemcore.golden.arithmetic import activation_tables as tables
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT
from tests.support.crossed import crossed
from tests.support.torch_nets import build

NAMES = ["rot1", "drlo3", "ones3", "rd20", "rd2.5", "rot1+drlo3"]


@pytest.fixture
def quantized(rng):
    """A network with ReLU6 (a clamp table of its own), signed layers and poolings."""
    module, shape = build("depthwise")
    module[0].weight.data *= 20
    x = rng.integers(-127, 128, (8, *shape))
    return quantize(capture(module, shape), x), x


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rot1", tables.rot(8, 1)),
        ("drlo3", tables.drlo(8, 3)),
        ("ones3", tables.nearest_ones(8, 3)),
        ("rd20", tables.rate_distortion(8, 20)),
        ("rd2.5", tables.rate_distortion(8, 2.5)),
        ("rot1+drlo3", tables.compose(tables.rot(8, 1), tables.drlo(8, 3))),
        ("drlo3+rot1", tables.compose(tables.drlo(8, 3), tables.rot(8, 1))),
    ],
)
def test_a_name_is_the_golden_table(name, expected):
    assert named_table(name, 8, False).tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["rot", "rot-1", "foo3", "rot1+", "", "rot1,drlo3", "rd20 "])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(SparsifyError, match=r"^TABLES: a table must be rot<r>, drlo<k>.*; got '"):
        read_tables(name)


@pytest.mark.parametrize("name", ["rot8", "drlo0", "ones9", "rot1.5"])
def test_a_name_beyond_the_bits_names_layer_and_reason(name):
    with pytest.raises(SparsifyError, match=rf"^conv: {re.escape(name)} is no table of 8 bits: "):
        named_table(name, 8, False, "conv")


def test_a_name_is_for_all_layers_but_the_last(quantized):
    model, _ = quantized
    found = find_tables(model.network, "rot2")
    assert list(found) == [layer.name for layer in model.network.layers[:-1]]
    assert find_tables(model.network, "none") == {}


def test_tables_stay_below_the_upper_clamp(quantized):
    model, _ = quantized
    layer = model.network.layers[0]
    assert layer.top < 255
    table = find_tables(model.network, "ones1")[layer.name]
    assert table.max() == min(layer.top, 128)
    narrow = dataclasses.replace(layer, top=100)
    network = dataclasses.replace(model.network, layers=(narrow, *model.network.layers[1:]))
    assert find_tables(network, "ones1")[layer.name].max() == 100


@pytest.mark.medium
@crossed(1, net=["depthwise", "residual", "vgg", "shared"], name=NAMES)
def test_torch_equals_golden_with_tables(net, name, rng, tmp_path):
    module, shape = build(net)
    x = rng.integers(-127, 128, (6, *shape))
    plain = quantize(capture(module, shape), x)
    found = find_tables(plain.network, name)
    model = QuantizedModel(with_tables(plain.network, found))
    expected = run_network(lower(model), x)
    got = model(torch.from_numpy(x))
    assert list(got) == list(expected)
    for population, values in expected.items():
        np.testing.assert_array_equal(got[population].numpy(), values, err_msg=population)
    model.save(tmp_path / "q.npz")
    again = QuantizedModel.load(tmp_path / "q.npz")(torch.from_numpy(x))
    for population, values in expected.items():
        np.testing.assert_array_equal(again[population].numpy(), values, err_msg=population)


def test_random_entries_equal_golden_also_where_they_do_not_rise(quantized, rng):
    model, x = quantized
    wanted = {}
    for layer in model.network.layers:
        low, high = layer.limits
        wanted[layer.name] = rng.integers(low, high + 1, 1 << layer.bits).tolist()
    changed = QuantizedModel(with_tables(model.network, find_tables(model.network, wanted)))
    expected = run_network(lower(changed), x)
    for population, values in changed(torch.from_numpy(x)).items():
        np.testing.assert_array_equal(values.numpy(), expected[population], err_msg=population)


def test_the_pass_on_the_lowered_network_is_the_same(quantized):
    model, _ = quantized
    found = find_tables(model.network, "rot1+drlo3")
    late = apply_tables(lower(model), found)
    early = lower(with_tables(model.network, found))
    for a, b in zip(late.layers, early.layers, strict=True):
        assert (a.table is None) == (b.table is None)
        assert a.table is None or a.table.tolist() == b.table.tolist()


def test_the_file_maps_layers_to_names_or_entries(quantized, tmp_path):
    model, _ = quantized
    first, last = model.network.layers[0].name, model.network.layers[-1].name
    top = model.network.layers[0].top
    entries = [0] * 256
    path = tmp_path / "tables.json"
    path.write_text(json.dumps({first: "rd5", last: entries, INPUT: "rot1"}))
    found = find_tables(model.network, read_tables(str(path)))
    assert list(found) == [first, last, INPUT]
    assert found[first].tolist() == np.minimum(named_table("rd5", 8, False), top).tolist()
    assert found[last].tolist() == entries
    assert found[INPUT].tolist() == tables.rot(8, 1, True).tolist()


@pytest.mark.parametrize("content", ["[]", "{", '{"a": 3}', '{"a": [true]}', '{"a": [1.5]}'])
def test_another_file_is_refused(content, tmp_path):
    path = tmp_path / "tables.json"
    path.write_text(content)
    with pytest.raises(FormatError, match=r"tables\.json: must "):
        read_tables(str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"gone\.json: must be a JSON file of tables"):
        read_tables(str(tmp_path / "gone.json"))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"other": "rot1"}, r"^TABLES: names must be layers, got other; the layers are 0"),
        ({"0": [1, 2]}, r"^0: a table of 8 bits must have 256 entries, got 2$"),
        ({"0": [256] * 256}, r"^0: entries must lie in 0\.\.\d+, got 256\.\.256$"),
        ({"0": [-1] * 256}, r"^0: entries must lie in 0\.\.\d+, got -1\.\.-1$"),
        ({"0": "rot9"}, r"^0: rot9 is no table of 8 bits: "),
    ],
)
def test_tables_that_do_not_fit_are_refused(quantized, entry, message):
    model, _ = quantized
    assert model.network.layers[0].name == "0"
    with pytest.raises(SparsifyError, match=message):
        find_tables(model.network, entry)
