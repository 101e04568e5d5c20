# SPDX-License-Identifier: Apache-2.0
"""Functions inside quantized models: the integers are those of torch and of ONNX Runtime."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import stemcore
from stemcore.compiler.errors import AssembleError, QuantizeError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontends.registry import read_model
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.quantization.quantize import quantize
from stemcore.compiler.quantization.quantize_given import agreement
from stemcore.extras import has_extra, how_to_install
from stemcore.golden.network.forward import run_network

NEEDS_PT2E = pytest.mark.skipif(not has_extra("pt2e"), reason=f"torchao: {how_to_install('pt2e')}")
NEEDS_ONNX = pytest.mark.skipif(not has_extra("onnx"), reason=f"onnx: {how_to_install('onnx')}")

FUNCTIONS = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
    "elu": F.elu,
    "softplus": F.softplus,
    "leaky": lambda x: F.leaky_relu(x, 0.2),
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "hardtanh": F.hardtanh,
    "abs": torch.abs,
    "sign": torch.sign,
    "x * sigmoid(x)": lambda x: x * torch.sigmoid(x),
}
FAST = {"tanh", "sigmoid", "x * sigmoid(x)"}


def images(rng, shape, n=12):
    """Integers of the input, and their real values; sparse ones, one spike, none, all."""
    codes = rng.integers(-127, 128, (n, *shape))
    codes[1] *= rng.random(shape) < 0.05
    codes[2:4] = 0
    codes[3].flat[5] = 1
    codes[4] = 127
    return codes, torch.from_numpy((codes / 128).astype(np.float32))


# In graphs of torch.export, rounded as training does it -------------------------------------------
class Rounded(nn.Module):
    """Sums and function values are rounded by ``fake_quantize``; scales are given.

    ``signed``: of the function's values; ``low``: the smallest integer of the sum.
    """

    shape = (2, 6, 6)

    def __init__(self, function, *, signed=True, low=-127, bits=(8, 8), pool=False, steps=(16, 64)):
        super().__init__()
        self.function, self.signed, self.low, self.pool = function, signed, low, pool
        self.bits, self.steps = bits, steps
        generator = torch.Generator().manual_seed(5)
        for name, shape in (("a", (5, 2, 3, 3)), ("b", (3, 5, 1, 1))):
            integers = torch.randint(-127, 128, shape, generator=generator)
            self.register_buffer(name, integers / 512.0)
        self.register_buffer("bias", torch.randint(-99, 99, (5,), generator=generator) / 512.0 / 8)

    def round(self, x, scale, low, high):
        return torch.fake_quantize_per_tensor_affine(x, scale, 0, low, high)

    def weights(self, w):
        n = torch.full((len(w),), 1 / 512.0)
        zeros = torch.zeros(len(w), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(w, n, zeros, 0, -127, 127)

    def forward(self, x):
        top = 2 ** (self.bits[0] - 1) - 1
        low = max(self.low, -top - 1) if self.low < 0 else 0
        x = self.round(x, 1 / 128, -127, 127)
        x = F.conv2d(x, self.weights(self.a), self.bias)
        x = torch.relu(x) if low == 0 else x
        x = self.round(x, 1 / self.steps[0], low, top if low < 0 else 2 * top + 1)
        x = F.max_pool2d(x, 2) if self.pool else x
        top = 2 ** (self.bits[1] - 1) - 1
        least, most = (-top, top) if self.signed else (0, 2 * top + 1)
        x = self.round(self.function(x), 1 / self.steps[1], least, most)
        return self.round(F.conv2d(x, self.weights(self.b)), 1 / 16, -127, 127)


def check_equal(graph, codes, wanted):
    """The integers of every layer are the graph's, and the outputs ``wanted``."""
    quantized = quantize(graph, codes)
    assert quantized.network.profile == "exact"
    values = run_network(lower(quantized), codes.astype(np.int64), acc_width=24)
    for name, found in quantized(torch.from_numpy(codes)).items():
        np.testing.assert_array_equal(found.numpy(), values[name], err_msg=name)
    last = quantized.network.layers[-1]
    np.testing.assert_array_equal(
        wanted.astype(np.float64).reshape(len(codes), -1) / last.scale,
        values[last.name].reshape(len(codes), -1),
    )
    compared = agreement(graph, quantized.network, codes, ())
    assert all((one.equal, one.largest) == (1.0, 0) for one in compared), compared
    return quantized.network


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("pool", [False, True])
def test_a_function_of_integers_is_a_table_of_the_layer(name, pool, rng):
    net = Rounded(FUNCTIONS[name], pool=pool).eval()
    codes, x = images(rng, net.shape)
    network = check_equal(capture(net, net.shape), codes, net(x).numpy())
    functions = [layer.function != "" for layer in network.layers]
    # A pooling keeps the integers in a population of their own, unless it comes after as well.
    stays = pool and name in ("silu", "gelu", "hardswish", "abs", "x * sigmoid(x)")
    assert functions == ([False, True, False] if stays else [True, False])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("low", [-127, -128, 0])
@pytest.mark.parametrize("bits", [(8, 8), (4, 8), (8, 3), (5, 5)])
@pytest.mark.parametrize("name", ["sigmoid", "hardtanh", "abs"])
def test_sums_and_values_may_differ_in_bits_and_sign(name, bits, low, signed, rng):
    net = Rounded(FUNCTIONS[name], signed=signed, low=low, bits=bits, steps=(8, 16)).eval()
    codes, x = images(rng, net.shape)
    network = check_equal(capture(net, net.shape), codes, net(x).numpy())
    assert network.layers[0].bits == max(bits)


def test_integers_with_other_readers_have_a_layer_of_their_own(rng):
    class Shared(Rounded):
        def forward(self, x):
            x = self.round(x, 1 / 128, -127, 127)
            x = self.round(F.conv2d(x, self.weights(self.a), self.bias), 1 / 16, -127, 127)
            y = self.round(torch.tanh(x), 1 / 64, -127, 127)
            z = self.round(F.conv2d(x, self.weights(self.b)), 1 / 16, -127, 127)
            return self.round(F.conv2d(y, self.weights(self.b)) + z, 1 / 16, -127, 127)

    net = Shared(torch.tanh).eval()
    codes, x = images(rng, net.shape)
    network = check_equal(capture(net, net.shape), codes, net(x).numpy())
    assert [layer.function for layer in network.layers] == ["", "Tanh", "", ""]


def test_a_function_of_the_input_and_one_at_the_end(rng):
    class Ends(Rounded):
        def forward(self, x):
            x = self.round(x, 1 / 128, -127, 127)
            x = self.round(torch.tanh(x), 1 / 128, -127, 127)
            x = self.round(F.conv2d(x, self.weights(self.a), self.bias), 1 / 16, -127, 127)
            return torch.tanh(x)  # left real

    net = Ends(torch.tanh).eval()
    codes, x = images(rng, net.shape)
    graph = capture(net, net.shape)
    network = quantize(graph, codes).network
    assert network.outputs == "values"
    assert [layer.function for layer in network.layers] == ["Tanh", "Tanh"]
    values = run_network(lower(network), codes.astype(np.int64), acc_width=24)
    wanted = np.rint(net(x).numpy().astype(np.float64) / network.layers[-1].scale)
    np.testing.assert_array_equal(values[network.layers[-1].name], wanted)


def test_a_function_of_a_real_sum_is_refused_with_the_reason():
    class Real(Rounded):
        def forward(self, x):
            x = self.round(x, 1 / 128, -127, 127)
            x = torch.tanh(F.conv2d(x, self.weights(self.a), self.bias))
            return self.round(x, 1 / 64, -127, 127)

    net = Real(torch.tanh).eval()
    with pytest.raises(
        QuantizeError,
        match=r": Tanh must be applied to integers, .* the sum in front of it is not quantized; "
        r"quantize it as well, as StemQuantizer of stemcore\.pt2e does, or compile the float",
    ):
        quantize(capture(net, net.shape), np.zeros((1, *net.shape), int))


def test_integers_without_a_code_are_refused():
    def falls(x):  # of integers 0..255 many different ones, on both sides of zero
        return 1.0 - F.elu(x)

    net = Rounded(falls, low=0, steps=(64, 64)).eval()
    with pytest.raises(QuantizeError, match=r"an activation table has no code for all of them; "):
        quantize(capture(net, net.shape), np.zeros((1, *net.shape), int))


@pytest.mark.parametrize(
    "engine", ["program", pytest.param("rtl", marks=[pytest.mark.sim, pytest.mark.slow])]
)
@pytest.mark.parametrize("name", ["sigmoid", "silu"])
def test_engines_fire_the_same_spikes(name, engine, rng):
    """Channels do not fill the last block of lanes: idle lanes stay silent also for sigmoid."""
    net = Rounded(FUNCTIONS[name], signed=name == "silu").eval()
    codes, x = images(rng, net.shape)
    compiled = stemcore.compile(net, calibration=codes, input="signed")
    result = compiled.run(codes[:5], engine=engine)
    assert result.bit_exact
    np.testing.assert_array_equal(result.outputs, net(x[:5]).numpy().astype(np.float64))


def test_idle_lanes_need_a_sum_without_output(rng):
    net = Rounded(torch.sigmoid, signed=False, steps=(64, 256)).eval()  # 30 of 256 at the least
    codes, _ = images(rng, net.shape)
    with pytest.raises(AssembleError, match=r"must have a zero where .* with a larger scale in fr"):
        stemcore.compile(net, calibration=codes, input="signed")


# By torchao ---------------------------------------------------------------------------------------
class Chain(nn.Module):
    """Functions behind batch norm, behind a residual addition, and at the end."""

    shape = (2, 8, 8)

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.a, self.n = nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.b, self.last = nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6 * 16, 5)

    def forward(self, x):
        y = self.function(self.n(self.a(x)))
        y = self.function(self.b(y) + y)
        return self.function(self.last(F.max_pool2d(y, 2).flatten(1)))


@pytest.mark.medium
@NEEDS_PT2E
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in FAST else [pytest.mark.slow]) for n in FUNCTIONS]
)
def test_the_quantizer_rounds_in_front_of_functions_and_behind(name, rng):
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    from stemcore.pt2e import StemQuantizer, round_biases

    torch.manual_seed(1)
    net = Chain(FUNCTIONS[name]).eval()
    codes, x = images(rng, net.shape)
    prepared = prepare_pt2e(torch.export.export(net, (x,)).module(), StemQuantizer())
    prepared(x)
    converted = round_biases(convert_pt2e(prepared))
    with torch.no_grad():
        wanted = converted(x).numpy()
    network = check_equal(capture(converted, net.shape), codes, wanted)
    assert [layer.function != "" for layer in network.layers] == [True, True, True]


# By ONNX Runtime ----------------------------------------------------------------------------------
ONNX_FUNCTIONS = {
    "Tanh": {},
    "Sigmoid": {},
    "LeakyRelu": {"alpha": 0.25},
    "Elu": {},
    "Softplus": {},
    "HardSigmoid": {"alpha": 1 / 6},
    "HardSwish": {},
}


@pytest.mark.medium
@NEEDS_ONNX
@pytest.mark.parametrize("form", ["qdq", "qcdq"])
@pytest.mark.parametrize("name", ONNX_FUNCTIONS)
def test_integers_are_those_of_onnx_runtime(name, form, rng, tmp_path):
    import onnx

    from tests.support.onnx_nets import Builder, run_onnx

    b = Builder(form, (2, 6, 6))
    x = b.quantize("image", 1 / 128, signed=True)
    weight, bias = b.weights((5, 2, 3, 3), 2.0**-9), b.bias(5, 2.0**-16)
    x = b.quantize(b.node("Conv", [x, weight, bias], "first"), 1 / 32, signed=True)
    x = b.node(name, [x], "function", **ONNX_FUNCTIONS[name])
    positive = name in ("Sigmoid", "Softplus", "HardSigmoid")
    x = b.quantize(x, 1 / 32, signed=not positive)
    x = b.quantize(
        b.node("Conv", [x, b.weights((3, 5, 1, 1), 2.0**-8)], "last"), 1 / 8, signed=True
    )
    model = b.model(x, (3, 4, 4))
    onnx.save(model, tmp_path / "net.onnx")
    codes, real = images(rng, (2, 6, 6))
    (wanted,) = run_onnx(model, real.numpy())
    network = check_equal(read_model(tmp_path / "net.onnx"), codes, wanted)
    assert [layer.function != "" for layer in network.layers] == [True, False]
