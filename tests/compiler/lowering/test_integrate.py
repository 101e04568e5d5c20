# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from stemcore.compiler.errors import CompileError, RangeError
from stemcore.compiler.lowering.calibrated import layer_is_proved
from stemcore.compiler.lowering.integrate import describe, integrate, modes
from stemcore.compiler.lowering.neurons import LOWERINGS
from stemcore.compiler.lowering.ranges import potentials_fit
from stemcore.compiler.lowering.reach import LayerReach, measure
from stemcore.compiler.lowering.rescale import PotentialScale, _bias, _rescalings, mantissa
from stemcore.compiler.lowering.skip_buffers import buffer_skips
from stemcore.compiler.pipeline import compile_network
from stemcore.golden.network.forward import Forward, run_network
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population
from stemcore.golden.reference.core import Core
from stemcore.golden.spec.neurons.late import Late
from stemcore.golden.spec.neurons.scaled import Scaled
from stemcore.golden.spec.presets import get_preset
from tests.support.random_networks import random_images, random_network

STEP_MODES = ("late", "scaled", "scaled_shift")  # of the models whose constants are checked here


def dense(name, source, weight, *, shift=4, bias=0, multiplier=1, h=0, **fields):
    """A layer of one connection with a kernel over the whole source."""
    weight = np.asarray(weight, np.int8)
    n = len(weight)
    return Layer(
        name,
        (n, 1, 1),
        (Connection(source, weight.reshape(n, -1, 1, 1), shift=h),),
        np.full(n, bias),
        np.full(n, multiplier),
        np.full(n, shift),
        **fields,
    )


def one_layer(weight, **fields):
    layer = dense("only", INPUT, weight, **fields)
    return Network("one", Population(INPUT, (len(weight[0]), 1, 1), 8, False), (layer,), {})


FULL = np.full((1, 4, 1, 1), 255)  # the largest image of four inputs


def reach(*potentials):
    return LayerReach("layer", 0, potentials)


# Constants --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Fraction(1), (32768, 15)),
        (Fraction(3, 5), (39322, 16)),
        (Fraction(65535, 65536), (65535, 16)),
        (Fraction(131071, 131072), (32768, 15)),  # rounds up to the next power of two
        (Fraction(5), (40960, 13)),
        (Fraction(1, 3), (43691, 17)),
    ],
)
def test_a_mantissa_has_sixteen_bits(value, expected):
    assert mantissa(value) == expected


def test_a_mantissa_that_must_not_exceed_is_rounded_down():
    assert mantissa(Fraction(3, 5), is_floor=True) == (39321, 16)
    assert mantissa(Fraction(131071, 131072), is_floor=True) == (65535, 16)


@pytest.mark.parametrize(
    ("bias", "expected"),
    [
        ((1 << 31) - 1, ((1 << 31) - 1, 0)),
        (-(1 << 31), (-(1 << 31), 0)),
        (1 << 31, (1 << 23, 1)),
        (-(1 << 31) - 256, (-(1 << 23) - 1, 1)),
        ((1 << 55) - (1 << 25), ((1 << 31) - 2, 3)),
        (-(1 << 55), (-(1 << 31), 3)),
    ],
)
def test_a_bias_is_shifted_by_as_few_bytes_as_it_needs(bias, expected):
    found, n_bytes = _bias("a", [Fraction(bias)])
    assert (found.tolist(), n_bytes) == ([expected[0]], expected[1])
    with pytest.raises(RangeError, match="the bias must fit in 32 bits and 3 bytes of shift"):
        _bias("a", [Fraction(1 << 55)])


@pytest.mark.parametrize(
    ("pair", "shift", "multipliers", "expected"),
    [
        ((6, 4), 0, False, [(6, 4), (3, 3), (2, 2), (1, 1)]),
        ((6, 49), 0, False, [(2, 47), (1, 46)]),
        ((6, 4), 2, True, [(24, 4), (12, 3), (6, 2), (3, 1), (2, 0)]),
        ((6, 0), 2, True, [(24, 0)]),
        ((1, 0), 1, False, []),
        ((65535, 3), 2, True, [(65535, 1), (32768, 0)]),
    ],
)
def test_the_most_precise_constants_that_have_fields_come_first(pair, shift, multipliers, expected):
    scale = PotentialScale(1, shift, Fraction(), 1)
    assert list(_rescalings(*pair, scale, multipliers)) == expected


@pytest.mark.parametrize(("shift", "lost"), [(0, 0), (1, (1, 4)), (2, (5, 8)), (3, (17, 16))])
def test_late_integration_drops_half_of_what_its_shifts_can_drop(shift, lost):
    """A shift right by j drops 0 to 1 - 2**-j, one for each j = 1 .. r: half of it on average."""
    scale = LOWERINGS["late"].scale(Late(shift))
    assert (scale.lost, scale.shift) == (Fraction(*np.atleast_1d(lost).tolist()), shift)


@pytest.mark.parametrize(
    ("largest", "shift_only", "expected"),
    [
        (32767, False, Scaled()),
        (32768, True, Scaled(1, 1)),
        (65534, True, Scaled(1, 1)),
        (65535, True, Scaled(1, 2)),
        (65534, False, Scaled(1 << 15, 16)),
        (100000, False, Scaled(int(Fraction(32767, 100000) * (1 << 17)), 17)),
        (32767 << 4, True, Scaled(1, 4)),
    ],
)
def test_k1_is_the_largest_that_keeps_16_bits(largest, shift_only, expected):
    mode = "scaled_shift" if shift_only else "scaled"
    fit = LOWERINGS["scaled"].fit
    assert fit(reach(10, largest, 20), mode, multipliers=True) == expected
    assert fit(reach(10, largest, 20), "scaled", multipliers=not shift_only) == expected


@pytest.mark.parametrize(
    ("potentials", "r"),
    [
        ([100, 32767], 0),
        ([100, 32768], 1),
        ([20000, 65000], 1),
        ([40000, 65000], 2),  # the first step must not double into the rail
        ([1000, 2000, 4000, 8000, 16000, 32000, 64000, 500000], 4),
    ],
)
def test_r_is_the_smallest_that_keeps_16_bits(potentials, r):
    assert LOWERINGS["late"].fit(reach(*potentials), "late", multipliers=True) == Late(r)


def test_potentials_beyond_any_r_are_refused():
    message = r"^layer: potentials must fit 31 bits, they reach 2147483648; use fewer bits, or"
    with pytest.raises(RangeError, match=message):
        LOWERINGS["late"].fit(reach(1 << 31), "late", multipliers=True)


def test_measure_follows_the_exact_potential(rng):
    network = random_network(rng, bits=5, n_layers=2)
    images = random_images(rng, network, 20)
    _, potentials = Forward(network, acc_width=32).run_with_potentials(images)
    for found in measure(network, images, Late()):
        assert found.potentials[-1] == np.abs(potentials[found.name]).max()
        assert len(found.potentials) == 5


@pytest.mark.parametrize("mode", STEP_MODES)
@pytest.mark.parametrize("general", [False, True])
def test_k2_undoes_k1_and_the_bias_is_at_its_scale(general, mode, rng):
    network = random_network(rng, bits=8, general=general, n_layers=2, max_channels=4)
    integrated = integrate(network, mode, random_images(rng, network, 4))
    by_name = {layer.name: layer for layer in integrated.layers}
    for before in network.layers:
        after = by_name[before.name]
        neuron = after.neuron
        k1 = Fraction(neuron.multiplier if isinstance(neuron, Scaled) else 1, 1 << neuron.shift)
        for c in range(before.shape[0]):
            k2 = Fraction(int(after.multiplier[c]), 1 << int(after.shift[c]))
            wanted = Fraction(int(before.multiplier[c]), 1 << int(before.shift[c])) / k1
            assert abs(k2 / wanted - 1) <= Fraction(1, 1 << 16)
            bias, got = (
                Fraction(int(layer.bias[c]) << (8 * layer.bias_shift), 1 << int(layer.shift[c]))
                for layer in (before, after)
            )
            if isinstance(neuron, Late):
                bias += k2 * sum((1 - Fraction(1, 1 << j)) / 2 for j in range(1, neuron.shift + 1))
            unit = Fraction(1 << (8 * after.bias_shift), 1 << int(after.shift[c]))
            assert abs(got - bias) <= unit / 2


@pytest.mark.parametrize("mode", STEP_MODES)
def test_layers_that_fit_16_bits_stay_exact(mode, rng):
    network = one_layer(rng.integers(-15, 16, (3, 4)), bias=77, shift=6)
    integrated = integrate(network, mode, FULL)
    assert integrated.layers[0].neuron in (Scaled(), Late())
    images = rng.integers(0, 256, (50, 4, 1, 1))
    np.testing.assert_array_equal(
        run_network(integrated, images)["only"], run_network(network, images)["only"]
    )


@pytest.mark.parametrize("mode", STEP_MODES)
def test_16_bits_come_close_to_the_exact_network(mode, rng):
    network = one_layer(rng.integers(-127, 128, (40, 64)), shift=10)
    images = rng.integers(0, 256, (200, 64, 1, 1))
    integrated = integrate(network, mode, images)
    assert integrated.layers[0].neuron not in (Scaled(), Late())
    exact, got = (run_network(n, images)["only"] for n in (network, integrated))
    assert 0 < (exact != got).mean() < {"late": 0.02}.get(mode, 0.4)
    assert np.abs(exact - got).max() <= (1 if mode == "late" else 3)


@pytest.mark.medium
def test_late_changes_far_fewer_values_than_scaled(rng):
    network = one_layer(rng.integers(-127, 128, (40, 64)), shift=10)
    images = rng.integers(0, 256, (200, 64, 1, 1))
    exact = run_network(network, images)["only"]
    differing = {
        mode: (run_network(integrate(network, mode, images), images)["only"] != exact).mean()
        for mode in STEP_MODES
    }
    assert differing["late"] * 10 < differing["scaled"] < differing["scaled_shift"]


def test_cores_without_multipliers_get_shifts_alone(rng):
    network = one_layer(rng.integers(-127, 128, (8, 64)), shift=10, bias=1000)
    images = rng.integers(0, 256, (20, 64, 1, 1))
    for mode in STEP_MODES:
        layer = integrate(network, mode, images, multipliers=False).layers[0]
        assert (layer.multiplier == 1).all()
        assert getattr(layer.neuron, "multiplier", 1) == 1


def test_a_k2_above_one_needs_multipliers():
    network = one_layer([[127, 127, 127, 127]], shift=0)
    integrate(network, "late", FULL)
    message = (
        r"^only: channel 0: k2 = 1 \* 2\*\*2 must have a multiplier and a shift in 0\.\.47, "
        r"without multipliers 1; choose a preset with multipliers, or INTEGRATION=exact$"
    )
    with pytest.raises(RangeError, match=message):
        integrate(network, "late", FULL, multipliers=False)


def test_sums_are_proved_or_calibrated_or_refused():
    narrow = integrate(one_layer([[127, 127, 127, 127]], h=6), "late", FULL)
    assert potentials_fit(narrow, get_preset("tiny_late"))
    assert describe(narrow) == ["only: r = 8; sums proved"]
    wide = one_layer([[127, 127, -127, -127]], h=8)
    cancelling = integrate(wide, "scaled_shift", FULL)
    assert not potentials_fit(cancelling, get_preset("tiny_scaled"))
    assert describe(cancelling) == ["only: k1 = 1 / 2^0; sums bounded by calibration only"]
    message = (
        r"^only: the weight sum of a time step must fit in 16 signed bits, calibration reached "
        rf"{127 << 9}; use INTEGRATION=exact, or fewer bits of weights$"
    )
    with pytest.raises(RangeError, match=message):
        integrate(one_layer([[127, 127, 0, 0]], h=8), "late", FULL)


def test_integrate_refuses_what_it_does_not_know():
    network = one_layer([[1, 2, 3, 4]])
    message = rf"^integration: must be one of {', '.join(modes())}, got 'early'$"
    with pytest.raises(ValueError, match=message):
        integrate(network, "early", FULL)
    with pytest.raises(ValueError, match=r"^integration: must have calibration images, got none$"):
        integrate(network, "late", FULL[:0])


# Skip buffers
# -----------------------------------------------------------------------------------------
def residual_network(rng):
    """input -> a -> b -> c -> d, and the input and a once more onto d, a onto c."""
    weights = {name: rng.integers(-30, 31, (4, 4)) for name in "abcd"}
    layers = [
        dense(name, source, weights[name])
        for name, source in zip("abcd", (INPUT, "a", "b", "c"), strict=True)
    ]
    identity = np.ones((4, 1, 1, 1), np.int8)
    for number, sources in ((2, ("a",)), (3, (INPUT, "a"))):
        more = tuple(Connection(source, identity, groups=4, shift=4) for source in sources)
        connections = (*layers[number].connections, *more)
        layers[number] = replace(layers[number], connections=connections)
    source = Population(INPUT, (4, 1, 1), 8, True)
    return Network("residual", source, tuple(layers), {INPUT: 0.5, "a": 0.25})


@pytest.mark.parametrize("mode", STEP_MODES)
def test_buffered_values_are_exact_in_16_bits(mode, rng):
    network = residual_network(rng)
    integrated = integrate(buffer_skips(network), mode, random_images(rng, network, 8))
    values = run_network(integrated, random_images(rng, network, 30))
    for name in ("a.skip_buffer1", "a.skip_buffer2"):
        np.testing.assert_array_equal(values[name], values["a"])
    np.testing.assert_array_equal(values["input.skip_buffer3"], values[INPUT])


# Programs ---------------------------------------------------------------------------------------
def test_networks_and_cores_must_integrate_alike(rng):
    network = one_layer(rng.integers(-9, 9, (2, 4)))
    late = get_preset("tiny_late")
    message = (
        r"^only: integration must be late as in the cores, is exact; "
        r"lower the network for these cores, or choose another preset$"
    )
    with pytest.raises(CompileError, match=message):
        compile_network(network, late)
    with pytest.raises(CompileError, match=r"^only: integration must be late .*, is scaled; lower"):
        compile_network(integrate(network, "scaled", FULL), late)
    with pytest.raises(CompileError, match=r"^only: integration must be exact .*, is late; lower"):
        compile_network(integrate(network, "late", FULL), get_preset("tiny"))


def test_cores_hold_the_constants_and_unshifted_weights():
    network = one_layer([[127, 127, 127, 127]], h=4)
    program = compile_network(integrate(network, "late", FULL), get_preset("tiny_late"))
    core = Core(program.cores[0], program.params)
    assert (core.n_periods, core.neuron, core.axons[0].shift0) == (8, Late(6), 4)
    assert program.overflow_proved
    program = compile_network(integrate(network, "scaled", FULL), get_preset("tiny_scaled"))
    core = Core(program.cores[0], program.params)
    largest = 127 * 4 * 255 << 4
    assert core.neuron == Scaled(int(Fraction(32767, largest) * (1 << 21)), 21)


def test_sums_bounded_by_calibration_are_said_to_be():
    network = integrate(one_layer([[127, 127, -127, -127]], h=8), "late", FULL)
    assert not compile_network(network, get_preset("tiny_late")).overflow_proved


@pytest.mark.parametrize(("weights", "is_proved"), [([32767], True), ([32768], False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_sums_are_proved_where_every_channel_fits_sixteen_bits(weights, is_proved, sign):
    """A period's spikes are 0 or 1: 258 weights of 127 and one of the rest; -32768 fits too."""
    rest = weights[0] - 258 * 127 + (sign < 0)
    row = [sign * 127] * 258 + [sign * rest]
    layer = one_layer([row, [0] * 259], neuron=Late(0))
    assert layer_is_proved(layer.layers[0], layer) is is_proved


def test_what_is_reached_is_measured_beyond_sixteen_bits():
    """Of 300 inputs of 8 bits, all ones: a period's sum is 300 times the weight."""
    network = one_layer([[127] * 300, [1] * 300], bits=8)
    images = np.full((2, 300, 1, 1), 255)
    (found,) = measure(network, images, Late())
    assert found.sums == 127 * 300
    assert found.potentials == tuple(127 * 300 * ((2 << t) - 1) for t in range(8))


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_beyond_either_end_of_the_accumulator_are_not_proved(sign):
    """Of inputs of 8 bits, 255 times the weight: 259 of 127 fit 24 bits, 260 do not."""
    params = get_preset("tiny")
    assert potentials_fit(one_layer([[sign * 127] * 259, [0] * 259]), params)
    assert not potentials_fit(one_layer([[sign * 127] * 260, [0] * 260]), params)


def test_the_largest_shift_of_scaled_integration_is_taken():
    fit = LOWERINGS["scaled"].fit
    assert fit(reach(1 << 30), "scaled", multipliers=True) == Scaled(65534, 31)
    with pytest.raises(RangeError, match=r"k1 must be at least 2\*\*-16"):
        fit(reach(1 << 31), "scaled", multipliers=True)
