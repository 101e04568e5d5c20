# SPDX-License-Identifier: Apache-2.0
"""The quantized module equals golden on every integer, and the float network nearly."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stemcore.compiler.errors import CompatibilityError, FormatError, QuantizeError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.passes import form_layers
from stemcore.compiler.frontend.run_graph import run_graph
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.lowering.ranges import prove_ranges
from stemcore.compiler.quantization.quantize import quantize
from stemcore.compiler.quantization.quantized import PROFILES
from stemcore.compiler.quantization.quantized_model import QuantizedModel
from stemcore.golden.network.forward import Forward, run_network
from stemcore.golden.network.network import INPUT
from tests.support.crossed import crossed
from tests.support.random_torch_nets import RandomNet
from tests.support.torch_nets import NETS, build, chain


def images(rng, shape, n=12):
    """Blobs rather than noise, so that activations use their range."""
    coarse = rng.normal(size=(n, *shape)) * 60 + rng.normal(size=(n, shape[0], 1, 1)) * 40
    return np.clip(np.round(coarse), -127, 127).astype(np.int8)


def assert_equals_golden(model, x):
    """Every integer of every population and the accumulators' ranges."""
    got = model(torch.from_numpy(x))
    network = lower(model)
    prove_ranges(network, 24)
    expected, potentials = Forward(network).run_with_potentials(x)
    assert list(got) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name].numpy(), values, err_msg=name)
    for name, seen in model.accumulator_ranges(torch.from_numpy(x)).items():
        assert seen == (potentials[name].min(), potentials[name].max()), name
    return got


def errors_to_signal(model, graph, x):
    """Root mean square difference to the float graph over that of the output."""
    real = run_graph(graph, torch.from_numpy(x) * model.network.input_scale)[graph.output].numpy()
    got = model(torch.from_numpy(x))[model.output].numpy() * model.network.layers[-1].scale
    return np.sqrt(np.square(got - real).mean() / np.square(real).mean())


@crossed(1, name=list(NETS), profile=PROFILES)
def test_quantized_module_equals_golden_and_is_close_to_float(name, profile, rng):
    module, shape = build(name)
    graph, x = capture(module, shape), images(rng, shape)
    model = quantize(graph, x[:8], profile=profile)
    assert_equals_golden(model, x)
    assert errors_to_signal(model, form_layers(graph), x[:8]) < 0.08


@pytest.mark.medium
@crossed(1, name=["residual", "average"], bits=range(2, 9), profile=PROFILES)
def test_every_number_of_time_steps_equals_golden(name, bits, profile, rng):
    module, shape = build(name)
    x = images(rng, shape)
    model = quantize(capture(module, shape), x[:8], profile=profile, bits=bits)
    assert {layer.bits for layer in model.network.layers} == {bits}
    assert_equals_golden(model, x)


@pytest.mark.medium
@crossed(per_channel=[True, False], weight_bits=[2, 4, 7], profile=["exact", "general"])
def test_narrow_weights_and_shared_scales_equal_golden(weight_bits, per_channel, profile, rng):
    module, shape = build("residual")
    x = images(rng, shape)
    model = quantize(
        capture(module, shape),
        x[:8],
        profile=profile,
        weight_bits=weight_bits,
        per_channel=per_channel,
    )
    assert_equals_golden(model, x)
    top = 2 ** (weight_bits - 1) - 1
    plain = [layer for layer in model.network.layers if len(layer.branches) == 1]
    learned = [b.weight for layer in plain for b in layer.branches if layer.name != "5"]
    assert max(np.abs(weight).max() for weight in learned) == top


@pytest.mark.medium
def test_mixed_bits_follow_the_mapping(rng):
    module, shape = build("residual")
    x = images(rng, shape)
    bits = {"0": 3, "2.add": 6, "3.conv1": 2, "5": 5}
    model = quantize(capture(module, shape), x, bits=bits, weight_bits={"0": 4})
    layers = {layer.name: layer for layer in model.network.layers}
    assert {name: layers[name].bits for name in bits} == bits
    assert layers["7"].bits == 8
    assert np.abs(layers["0"].branches[0].weight).max() <= 7
    assert_equals_golden(model, x)


def sums(branch, weight, source):
    """What a branch adds, in real values."""
    if branch.taps is None:
        return F.conv2d(source, weight, None, branch.stride, branch.padding, 1, branch.groups)
    tables = []
    for taps, kernel in zip(branch.taps, weight.shape[2:], strict=True):
        table = torch.zeros(kernel, taps.n_outputs, taps.size)
        position, output, k = (torch.from_numpy(a) for a in taps.pairs())
        table[k, output, position] = 1
        tables.append(table)
    return torch.cat(
        [
            torch.einsum("dckl,koh,lpw,nchw->ndop", w, *tables, x)
            for w, x in zip(
                weight.chunk(branch.groups), source.chunk(branch.groups, 1), strict=True
            )
        ],
        1,
    )


@pytest.mark.parametrize("name", NETS)
def test_exact_profile_is_the_fake_quantized_float_graph(name, rng):
    """Real-valued layers with rounded weights and activations give the same integers in float32."""
    module, shape = build(name)
    x = images(rng, shape)
    model = quantize(capture(module, shape), x[:8])
    got = model(torch.from_numpy(x))
    network = model.network
    real = {INPUT: torch.from_numpy(x).float() * network.input_scale}
    for layer in network.layers:
        unit = torch.tensor(layer.acc_scale, dtype=torch.float32)
        total = (torch.tensor(layer.bias).float() * unit)[:, None, None]
        for branch in layer.branches:
            scale = unit * 2.0**branch.shift / network.scales()[branch.source]
            weight = torch.tensor(branch.weight).float() * scale[:, None, None, None]
            source = real[branch.source]
            total = total + sums(branch, weight, source)
        rounded = torch.fake_quantize_per_tensor_affine(total, layer.scale, 0, *layer.limits)
        if layer.pool is not None:
            rounded = layer.pool.run([rounded])
        real[layer.name] = rounded
        np.testing.assert_array_equal(rounded / layer.scale, got[layer.name], err_msg=layer.name)


@pytest.mark.medium
def test_exact_profile_needs_no_multiplier_and_has_powers_of_two(rng):
    module, shape = build("residual")
    model = quantize(capture(module, shape), images(rng, shape))
    for layer in model.network.layers:
        assert (layer.multiplier == 1).all()
        assert layer.bias_shift == 0
        for scale in (layer.scale, *layer.acc_scale):
            assert np.frexp(scale)[0] == 0.5


@pytest.mark.medium
def test_an_identity_is_exact_in_both_profiles(rng):
    """The shortcut reaches the accumulator without rounding: weight << shift is scale over unit."""
    module, shape = build("residual")
    for profile in ("exact", "general"):
        network = quantize(capture(module, shape), images(rng, shape), profile=profile).network
        layer = next(layer for layer in network.layers if layer.name == "2.add")
        identity = layer.branches[1]
        unit = network.scales()["0"] / layer.acc_scale
        np.testing.assert_allclose(
            identity.weight.ravel().astype(float) * 2.0**identity.shift, unit, rtol=1e-12
        )


@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 6, 7])
def test_average_pooling_is_the_rounded_mean(kernel, rng):
    """Exactly where the divisor is a power of two, else within one unit."""
    shape = (2, 2 * kernel, kernel)
    x = images(rng, shape, 40)
    model = quantize(capture(nn.AvgPool2d(kernel).eval(), shape), x)
    (layer,) = model.network.layers
    got = assert_equals_golden(model, x)[layer.name].numpy()
    sums = x.astype(np.int64).reshape(40, 2, 2, kernel, 1, kernel).sum((3, 5))
    step = layer.scale / model.network.input_scale
    expected = np.clip(np.round(sums / (kernel**2 * step)), *layer.limits)
    difference = np.abs(got - expected).max()
    assert difference == 0 if kernel in (2, 4) else difference <= 1


def test_max_pooling_alone_passes_values_on(rng):
    x = images(rng, (2, 6, 6))
    model = quantize(capture(nn.MaxPool2d(2).eval(), (2, 6, 6)), x)
    got = assert_equals_golden(model, x)[model.output].numpy()
    np.testing.assert_array_equal(got, x.reshape(12, 2, 3, 2, 3, 2).max((3, 5)))


def test_relu6_clamps_at_the_rounded_limit(rng):
    module = chain(nn.Conv2d(1, 1, 1), nn.ReLU6()).eval()
    with torch.no_grad():
        module[0].weight.fill_(10.0)
        module[0].bias.zero_()
    x = np.arange(-127, 128, dtype=np.int8).reshape(1, 1, 15, 17)
    model = quantize(capture(module, (1, 15, 17)), x)
    (layer,) = model.network.layers
    got = assert_equals_golden(model, x)[layer.name]
    assert got.max() == layer.top == round(6 / layer.scale) < 255
    assert lower(model).layers[0].table is not None


@pytest.mark.parametrize("profile", ["exact", "general"])
def test_dead_and_extreme_channels_keep_their_bias(profile, rng):
    """Weights of zero, of 1e-12 and of 1e4 beside a bias that matters."""
    module = nn.Conv2d(2, 4, 3, padding=1).eval()
    with torch.no_grad():
        module.weight[0], module.weight[1], module.weight[2] = 0.0, 1e-12, module.weight[2] * 1e4
        module.bias.copy_(torch.tensor([0.5, -0.75, 2000.0, 100.0]))
    x = images(rng, (2, 5, 5))
    model = quantize(capture(module, (2, 5, 5)), x, profile=profile)
    (layer,) = model.network.layers
    got = assert_equals_golden(model, x)[layer.name].numpy() * layer.scale
    assert np.abs(got[:, 0] - 0.5).max() <= layer.scale
    assert np.abs(got[:, 1] + 0.75).max() <= layer.scale


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_a_layer_of_zero_weights_gives_its_bias(profile, bias, rng):
    module = chain(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 2))
    with torch.no_grad():
        module[2].weight.zero_()
        module[2].bias.fill_(bias)
    x = images(rng, (1, 6, 6))
    model = quantize(capture(module.eval(), (1, 6, 6)), x, profile=profile)
    layer = model.network.layers[1]
    values = assert_equals_golden(model, x)[layer.name].numpy() * layer.scale
    np.testing.assert_allclose(values, bias, atol=2**-8, rtol=0)


@pytest.mark.parametrize("profile", ["exact", "general"])
def test_sums_are_kept_within_the_accumulator(profile, rng):
    """2048 weights of one sign need 27 bits at full resolution."""
    module = nn.Conv2d(128, 4, 4, bias=False).eval()
    with torch.no_grad():
        module.weight.copy_(module.weight.abs())
    x = images(rng, (128, 4, 4))
    model = quantize(capture(module, (128, 4, 4)), x, profile=profile)
    assert_equals_golden(model, x)
    report = prove_ranges(lower(model), 24)
    assert report.is_proved
    assert report.layers[0].bits == 24
    wide = quantize(capture(module, (128, 4, 4)), x, profile=profile, acc_width=32)
    assert prove_ranges(lower(wide), 32).layers[0].bits > 24


def test_large_sums_are_exact_in_torch_too(rng):
    """Beyond 2**24 float32 would round; the module must use float64."""
    module = nn.Linear(4096, 3, bias=False).eval()
    with torch.no_grad():
        module.weight.copy_(module.weight.abs() + 0.01)
    net = chain(nn.Flatten(), module).eval()
    x = rng.integers(100, 128, (4, 1, 64, 64)).astype(np.int8)
    model = quantize(capture(net, (1, 64, 64)), x, acc_width=32)
    assert model.accumulator_ranges(torch.from_numpy(x))["1"][1] > 1 << 24
    got = model(torch.from_numpy(x))
    expected = run_network(lower(model), x, acc_width=32)
    np.testing.assert_array_equal(got["1"], expected["1"])


def test_result_does_not_depend_on_the_type_of_the_input_or_the_batch(rng):
    module, shape = build("vgg")
    x = torch.from_numpy(images(rng, shape))
    model = quantize(capture(module, shape), x.numpy())
    whole = model(x)[model.output]
    assert whole.dtype == torch.int32
    for kind in (torch.float32, torch.float64, torch.int64):
        assert torch.equal(model(x.to(kind))[model.output], whole)
    assert torch.equal(torch.cat([model(x[i : i + 1])[model.output] for i in range(12)]), whole)


def test_reduced_precision_settings_do_not_change_the_result(rng):
    module, shape = build("vgg")
    x = images(rng, shape)
    model = quantize(capture(module, shape), x)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert_equals_golden(model, x)
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.medium
def test_quantizing_twice_gives_the_same_bytes(rng, tmp_path):
    module, shape = build("residual")
    x = images(rng, shape)
    for name in ("a", "b"):
        quantize(capture(module, shape), x).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.medium
@pytest.mark.parametrize("profile", ["exact", "general"])
@pytest.mark.parametrize("name", ["residual", "depthwise", "vgg"])
def test_a_saved_model_loads_as_the_same_integers(name, profile, rng, tmp_path):
    module, shape = build(name)
    x = images(rng, shape)
    model = quantize(capture(module, shape, name), x, profile=profile)
    model.save(tmp_path / "model.npz")
    again = QuantizedModel.load(tmp_path / "model.npz")
    assert (again.network.name, again.network.profile) == (name, profile)
    a, b = model(torch.from_numpy(x)), again(torch.from_numpy(x))
    assert list(a) == list(b)
    assert all(torch.equal(a[key], b[key]) for key in a)
    again.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "model.npz").read_bytes()


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"not an archive")
    with pytest.raises(FormatError, match=r"x\.npz: must be an archive of a quantized network"):
        QuantizedModel.load(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(FormatError, match=r"x\.npz: must be an archive of a quantized network"):
        QuantizedModel.load(path)


@pytest.fixture(scope="module")
def small():
    module = chain(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 1, 1)).eval()
    return capture(module, (1, 2, 2)), np.full((3, 1, 2, 2), 7, np.int8)


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"profile": "fast"}, r"^profile: must be one of exact, general, paper, got 'fast'$"),
        ({"bits": 9}, r"^all layers: bits must be 2 to 8, got 9$"),
        ({"bits": {"0": 1}}, r"^0: bits must be 2 to 8, got 1$"),
        ({"weight_bits": 1}, r"^all layers: weight_bits must be 2 to 8, got 1$"),
        ({"bits": {"x": 4}}, r"^bits: names must be layers, got 'x'; the layers are 0, 2$"),
        ({"input_scale": 0.3}, r"^input_scale: must be a power of two in the exact profile"),
        ({"calibration": np.zeros((1, 1, 2, 2))}, r"^calibration: must be integers, got float64$"),
        (
            {"calibration": np.zeros((1, 1, 2, 3), int)},
            r"^calibration: must have the shape \(N, 1, 2, 2\), has \(1, 1, 2, 3\)$",
        ),
        (
            {"calibration": np.zeros((0, 1, 2, 2), int)},
            r"^calibration: must have one image",
        ),
        (
            {"calibration": np.full((1, 1, 2, 2), 128)},
            r"^calibration: must lie in -127\.\.127, has 128\.\.128; clip",
        ),
    ],
)
def test_wrong_arguments_are_named(small, changes, pattern):
    graph, calibration = small
    arguments = {"graph": graph, "calibration": calibration, **changes}
    with pytest.raises(QuantizeError, match=pattern):
        quantize(**arguments)


def test_wrong_inputs_are_named(small):
    model = quantize(*small)
    with pytest.raises(
        QuantizeError, match=r"^input: must have the shape \(N, 1, 2, 2\), has \(2,"
    ):
        model(torch.zeros(2, 1, 2, 3))
    with pytest.raises(QuantizeError, match=r"^input: must hold integers; "):
        model(torch.full((1, 1, 2, 2), 0.5))
    with pytest.raises(
        QuantizeError, match=r"^input: must lie in -127\.\.127, got -128\.\.0; clip"
    ):
        model(torch.tensor([[[[-128, 0], [0, 0]]]]))


def test_incompatible_graphs_are_refused_before_anything_runs():
    graph = capture(chain(nn.Conv2d(1, 1, 1), nn.GroupNorm(1, 1)).eval(), (1, 2, 2))
    with pytest.raises(
        CompatibilityError, match=r"^network: 1 problem to solve .*\n  1: aten\.group"
    ):
        quantize(graph, np.zeros((1, 1, 2, 2), int))


def test_silent_calibration_gives_a_valid_network(small):
    graph, _ = small
    x = np.zeros((2, 1, 2, 2), np.int8)
    assert_equals_golden(quantize(graph, x), x)


@pytest.mark.parametrize(
    "case", [*range(8), *(pytest.param(n, marks=pytest.mark.slow) for n in range(8, 24))]
)
def test_random_networks_equal_golden(case, rng):
    shape = tuple(int(size) for size in rng.integers([1, 3, 3], [5, 10, 10]))
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(1 << 30)))
        module = RandomNet(rng, shape).eval()
    x = images(rng, shape)
    model = quantize(
        capture(module, shape),
        x[:8],
        profile=PROFILES[case % 3],
        bits=int(rng.choice([2, 4, 5, 8, 8])),
        weight_bits=int(rng.choice([2, 4, 8, 8])),
        per_channel=bool(rng.random() < 0.7),
    )
    assert_equals_golden(model, x)


class FarApart(nn.Module):
    """A sum of two operands of which the first never reaches half a unit of the result."""

    def __init__(self):
        super().__init__()
        self.near, self.far = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x):
        near = self.near(x).relu()
        return (near + self.far(near).relu()).relu()


@pytest.mark.parametrize("profile", ["exact", "general", "paper"])
def test_an_operand_below_half_a_unit_of_the_sum_is_rounded_away(profile):
    module = FarApart().eval()
    with torch.no_grad():
        for layer, weight in ((module.near, 0.5), (module.far, 1e6)):
            layer.weight.fill_(weight)
            layer.bias.zero_()
    images = np.random.default_rng(0).integers(0, 128, (4, 1, 5, 5))
    model = quantize(capture(module, (1, 5, 5)), images, profile=profile)
    layers = {layer.name: layer for layer in model.network.layers}
    (last,) = (layer for name, layer in layers.items() if name.startswith("add"))
    by_source = {branch.source: branch.weight for branch in last.branches}
    assert not by_source["near"].any()
    assert by_source["far"].any()
    values = model(torch.from_numpy(images))
    with torch.no_grad():
        wanted = module(torch.from_numpy(images / 128).float()).numpy()
    got = values[last.name].numpy() * last.scale
    assert np.abs(got - wanted).max() <= 2 * last.scale
