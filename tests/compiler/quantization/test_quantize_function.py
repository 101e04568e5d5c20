# SPDX-License-Identifier: Apache-2.0
"""Functions of one value: tables that are right in every entry, networks that equal golden."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stemcore.compiler.errors import QuantizeError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.graph import Node
from stemcore.compiler.frontend.ops.fake_quantize import FakeQuantize
from stemcore.compiler.frontend.passes import form_layers
from stemcore.compiler.frontend.run_graph import run_graph
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.lowering.ranges import prove_ranges
from stemcore.compiler.quantization.quantize import quantize
from stemcore.compiler.quantization.quantize_function import (
    Index,
    OutputCode,
    choose_index,
    evaluate,
    function_table,
)
from stemcore.compiler.sparsity.tables import find_tables, with_tables
from stemcore.golden.arithmetic.activation_tables import identity
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.integers import limits
from tests.support.pointwise_nets import FUNCTIONS, NETS, build, build_function

SLOW_PROFILES = [pytest.param(name, marks=pytest.mark.slow) for name in ("general", "paper")]

# Decibels of the output layer below which something is wrong; functions with steps have fewer.
LEAST_SNR = {"sign": 10}


def functions_of(name):
    """The operators that a function of the support file is captured as."""
    (layer, _) = form_layers(capture(build_function(name), (1, 6, 6))).nodes
    return layer.op.function if layer.op.clamp is None else (layer.op.clamp,)


def images(rng, shape, n=16):
    return rng.integers(-127, 128, (n, *shape)).astype(np.int8)


def assert_equals_golden(model, x):
    got, network = model(torch.from_numpy(x)), lower(model)
    prove_ranges(network, 24)
    for name, values in run_network(network, x).items():
        np.testing.assert_array_equal(got[name].numpy(), values, err_msg=name)
    return got


@pytest.mark.parametrize("name", FUNCTIONS)
def test_captured_functions_compute_what_torch_computes(name, rng):
    module = build_function(name)
    graph = capture(module, (1, 6, 6))
    x = torch.from_numpy(rng.uniform(-1, 1, (4, 1, 6, 6))).float()
    with torch.no_grad():
        wanted = module(x).flatten()
    for stage in (graph, form_layers(graph)):
        got = run_graph(stage, x)[stage.output].flatten()
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    assert len(form_layers(graph).nodes) == 2  # the function is a part of the convolution's layer


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signs_follow_from_the_functions(name):
    x = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    with torch.no_grad():
        is_signed = bool((FUNCTIONS[name](x.clone().float()) < 0).any())
    lowest = -np.inf
    for function in functions_of(name):
        lowest = function.lowest(lowest)
    assert is_signed == (lowest < 0)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("bits", "is_signed"), [(8, True), (6, False), (3, True), (2, False)])
def test_every_entry_of_a_table_is_the_nearest_output(name, bits, is_signed):
    functions = functions_of(name)
    index, code = Index(2.0**-4, -3), OutputCode(bits, is_signed, 2.0**-5)
    table = function_table(functions, index, code)
    low, high = limits(bits, is_signed)
    assert table.shape == (1 << bits,)
    for pattern in range(1 << bits):
        k = pattern - (1 << bits) if is_signed and pattern >> (bits - 1) else pattern
        real = evaluate(functions, np.array([(max(k, low) + 3) / 16]))[0]
        assert table[pattern] == min(max(round(float(real) * 32), low), high)


@pytest.mark.medium
@given(
    least=st.floats(-40, 0),
    most=st.floats(0.01, 40),
    bits=st.integers(2, 8),
    is_signed=st.booleans(),
    is_exact=st.booleans(),
)
def test_an_index_reaches_zero_or_has_a_spare_one(least, most, bits, is_signed, is_exact):
    functions = functions_of_sigmoid()
    sums = np.linspace(least, most, 200)
    code = OutputCode(bits, is_signed, 2.0 ** -(bits - is_signed))
    index = choose_index(functions, sums, code, is_exact=is_exact, is_widest=False)
    table = function_table(functions, index, code)
    assert (table == 0).any()
    low, _ = limits(bits, is_signed)
    if index.has_spare:
        assert np.rint(sums / index.step).min() + index.zero > low


def functions_of_sigmoid():
    from stemcore.compiler.frontend.ops.sigmoid import Sigmoid

    return (Sigmoid(),)


def test_the_same_sums_stay_in_the_middle_with_another_step():
    code = OutputCode(8, False, 1.0)
    index = Index(0.25, 100).with_step(0.5, code)
    assert index == Index(0.5, 114)  # sums of -25..38.75 before, of -57..70.5 now


@pytest.mark.parametrize("profile", ["exact", *SLOW_PROFILES])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_networks_with_a_function_equal_golden_and_are_close_to_float(name, profile, rng):
    module, x = build_function(name), images(rng, (1, 6, 6))
    graph = capture(module, (1, 6, 6))
    model = quantize(graph, x, profile=profile)
    got = assert_equals_golden(model, x)[model.output].numpy() * model.network.layers[-1].scale
    with torch.no_grad():
        wanted = module(torch.from_numpy(x).float() / 128).numpy()
    noise = np.square(got.reshape(wanted.shape) - wanted).sum()
    assert 10 * np.log10(np.square(wanted).sum() / noise) > LEAST_SNR.get(name, 24)


@pytest.mark.medium
@pytest.mark.parametrize("bits", [2, 4, 6])
@pytest.mark.parametrize("name", NETS)
def test_networks_of_functions_equal_golden(name, bits, rng):
    module, shape = build(name)
    x = images(rng, shape)
    for profile in ("exact", "general"):
        assert_equals_golden(quantize(capture(module, shape), x, profile=profile, bits=bits), x)


@pytest.mark.parametrize("name", NETS)
def test_networks_of_functions_are_close_to_float(name, rng):
    module, shape = build(name)
    x = images(rng, shape)
    model = quantize(capture(module, shape), x)
    got = assert_equals_golden(model, x)[model.output].numpy() * model.network.layers[-1].scale
    with torch.no_grad():
        wanted = module(torch.from_numpy(x).float() / 128).numpy()
    noise = np.square(got.reshape(wanted.shape) - wanted).sum()
    assert 10 * np.log10(np.square(wanted).sum() / noise) > 24


def test_sparser_tables_come_after_the_function(rng):
    module, shape = build("branches")
    model = quantize(capture(module, shape), images(rng, shape))
    before = model.network
    after = with_tables(before, find_tables(before, "rot2"))
    for old, new in zip(before.layers[:-1], after.layers[:-1], strict=True):
        wanted = identity(8, old.is_signed) if old.table is None else old.table
        rounded = (wanted + 2) >> 2 << 2
        low, high = limits(8, old.is_signed)
        np.testing.assert_array_equal(new.table, np.clip(rounded, -(-low // 4) * 4, high // 4 * 4))


def test_reports_name_the_functions(rng):
    module, shape = build("branches")
    model = quantize(capture(module, shape), images(rng, shape))
    assert [layer.function for layer in model.network.layers] == [
        "Tanh",
        "",
        "SiLU, LeakyReLU(0.2)",
        "ELU",
        "",
    ]


def test_a_layer_that_passes_values_on_takes_every_value_as_an_index(rng):
    (layer,) = form_layers(capture(torch.nn.Tanh().eval(), (1, 4, 4))).nodes
    graph = capture(torch.nn.Tanh().eval(), (1, 4, 4))
    model = quantize(graph, images(rng, (1, 4, 4)))
    found = model.network.layers[0]
    every = np.arange(-127, 128).reshape(-1, 1, 1, 1) * np.ones((1, 1, 4, 4))
    got = model(torch.from_numpy(every))[model.output].numpy()[:, 0, 0, 0]
    np.testing.assert_array_equal(
        got, np.rint(np.tanh(np.arange(-127, 128) / 128) / found.scale).clip(-127, 127)
    )
    assert replace(layer.op, function=()).run([torch.ones(1, 1, 4, 4)]).eq(1).all()


def test_functions_of_real_sums_in_quantized_models_are_refused(rng):
    rounded = FakeQuantize(2.0**-6, -127, 127)
    graph = capture(
        torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.Tanh()).eval(), (1, 4, 4)
    )
    conv, tanh = graph.nodes
    last = Node("rounded", rounded, (tanh.name,), tanh.shape)
    graph = replace(graph, nodes=(conv, tanh, last), output="rounded")
    with pytest.raises(QuantizeError, match=r"Tanh must be applied to integers"):
        quantize(graph, images(rng, (1, 4, 4)))
