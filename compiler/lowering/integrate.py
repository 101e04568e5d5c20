# SPDX-License-Identifier: Apache-2.0
"""From exact integration to 16 bits: constants of every layer, chosen from calibration images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.arithmetic.fixed import MAX_BIAS_SHIFT, MAX_SHIFT
from stemcore.golden.arithmetic.step_integration import (
    HIGHEST,
    LOWEST,
    MAX_LATE_SHIFT,
    MAX_SCALE_SHIFT,
    Integration,
    Late,
    Scaled,
    dropped_by,
    grow,
)
from stemcore.golden.network.forward import Forward
from stemcore.golden.network.network import Layer, Network
from stemcore.golden.network.step_sums import StepSums, step_bounds
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.params import (
    BIAS_WIDTH,
    MULTIPLIER_WIDTH,
    PRODUCT_WIDTH,
    STEP_WIDTH,
    ChipParams,
)

from ..errors import CompileError, RangeError

MODES = ("scaled", "scaled_shift", "late")
BATCH = 16  # images at a time: potentials of all layers and steps are looked at

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerReach:
    """What the time steps of a layer reach on calibration images, without any limit of bits.

    ``sums`` is the largest magnitude of I[t]; ``potentials[t]`` that of ``V[t] = 2 V[t-1] + I[t]``.
    """

    name: str
    sums: int
    potentials: tuple[int, ...]


def integrate(
    network: Network, mode: str, images: NDArray[np.integer], *, multipliers: bool = True
) -> Network:
    """The network with every layer integrated per time step, in 16 bits.

    Afterwards every layer has constants (``Layer.integration``), k2 in its multiplier and shift, a
    bias at that scale.

    Parameters
    ----------
    network : Network
        On a chip its connections have to go from one stage to the next
        (:func:`stemcore.compiler.lowering.skip_buffers.buffer_skips`).
    mode : str
        ``scaled``: k1 = (2**15 - 1) / max|V| as a 16-bit multiplier and a shift; ``scaled_shift``:
        the power of two below it; ``late``: r from the largest potential.
    images : integers (N, C, H, W)
        Calibration images. Potentials beyond what they reach saturate.
    multipliers : bool
        Whether the cores have multipliers; without them ``scaled`` is ``scaled_shift``.

    Raises
    ------
    RangeError
        Where a layer's weight sums, k2 or bias have no 16-bit form.
    """
    if mode not in MODES:
        raise ValueError(f"integration: must be one of {', '.join(MODES)}, got {mode!r}")
    if not len(images):
        raise ValueError("integration: must have calibration images, got none")
    shift_only = mode == "scaled_shift" or not multipliers
    layers = []
    for layer, reach in zip(network.layers, measure(network, images), strict=True):
        _check_sums(layer, network, reach)
        form = choose_late(reach) if mode == "late" else choose_scaled(reach, shift_only)
        layers.append(_with_integration(layer, form, multipliers))
    return replace(network, layers=tuple(layers))


def describe(network: Network) -> list[str]:
    """What :func:`integrate` chose, a line per layer."""
    lines = []
    for layer in network.layers:
        form = layer.integration
        if isinstance(form, Scaled):
            value = f"k1 = {form.multiplier} / 2^{form.shift}"
        else:
            value = "exact" if form is None else f"r = {form.shift}"
        low, high = step_bounds(layer, network)
        proved = low.min() >= LOWEST and high.max() <= HIGHEST
        guard = "sums proved" if proved else "sums bounded by calibration only"
        lines.append(f"{layer.name}: {value}; {guard}")
    return lines


def sums_proved(network: Network) -> bool:
    """Whether no spikes at all can take a weight sum of a time step out of its 16 bits."""
    bounds = (step_bounds(layer, network) for layer in network.layers)
    return all(low.min() >= LOWEST and high.max() <= HIGHEST for low, high in bounds)


def check_integrations(network: Network, params: ChipParams) -> None:
    """The network is integrated as the chip's cores do it; ``CompileError`` otherwise."""
    wanted = {"exact": type(None), "scaled": Scaled, "late": Late}[params.integration]
    for layer in network.layers:
        if not isinstance(layer.integration, wanted):
            have = type(layer.integration).__name__.lower() if layer.integration else "exact"
            raise CompileError(
                layer.name,
                f"integration must be {params.integration} as in the cores, is {have}",
                "lower the network for these cores, or choose another preset",
            )


def register(layer: Layer, network: Network, params: ChipParams) -> int:
    """Contents of ``Control.INTEGRATION`` of the layer's cores."""
    form = layer.integration
    assert form is not None, "exact cores have no such register"
    return Formats(params).integration.pack(
        steps=network.population(layer.connections[0].source).bits,
        multiplier=form.multiplier if isinstance(form, Scaled) else 0,
        shift=form.shift,
    )


# Calibration ------------------------------------------------------------------------------------
def measure(network: Network, images: NDArray[np.integer]) -> list[LayerReach]:
    """What every layer reaches, with the exact network's activations as inputs."""
    exact = replace(network, layers=tuple(replace(la, integration=None) for la in network.layers))
    forward = Forward(exact, acc_width=32)
    steps = [StepSums(layer, exact, checks=False) for layer in exact.layers]
    sums = [0] * len(steps)
    potentials = [[0] * s.n_steps for s in steps]
    for start in range(0, len(images), BATCH):
        values = {
            name: np.ascontiguousarray(array.transpose(0, 2, 3, 1), np.float32)
            for name, array in forward.run(images[start : start + BATCH]).items()
        }
        for number, layer_steps in enumerate(steps):
            v = None
            for t, i in enumerate(layer_steps(values)):
                # k1 = 1 and no saturation: the exact potential, most significant bits first.
                v = grow(v, i, t, layer_steps.n_steps, Scaled())
                sums[number] = max(sums[number], _magnitude(i))
                potentials[number][t] = max(potentials[number][t], _magnitude(v))
    return [
        LayerReach(layer.name, n, tuple(reached))
        for layer, n, reached in zip(network.layers, sums, potentials, strict=True)
    ]


def _magnitude(values: NDArray[Any]) -> int:
    return int(max(-values.min(), values.max(), 0))


def choose_scaled(reach: LayerReach, shift_only: bool) -> Scaled:
    """The largest k1 up to 1 with which no potential of calibration exceeds 2**15 - 1 (eq. 16)."""
    largest = max(reach.potentials)
    if largest <= HIGHEST:
        return Scaled()
    if shift_only:
        return Scaled(1, _bits_above(largest))
    multiplier, shift = _mantissa(Fraction(HIGHEST, largest), is_floor=True)
    if shift > MAX_SCALE_SHIFT:
        raise RangeError(
            reach.name,
            f"k1 must be at least 2**-16, the largest potential {largest} gives less",
            "use fewer bits, or split the layer",
        )
    return Scaled(multiplier, shift)


def choose_late(reach: LayerReach) -> Late:
    """The smallest r with which no potential of calibration leaves 16 bits."""
    n_steps = len(reach.potentials)
    for r in range(MAX_LATE_SHIFT + 1):
        # A step that does not double sees V at the scale of step T-1-r; r sums were rounded down.
        reached = ((v >> max(0, t - (n_steps - 1 - r))) + r for t, v in enumerate(reach.potentials))
        if max(reached) <= HIGHEST:
            return Late(r)
    raise RangeError(
        reach.name,
        f"potentials must fit {STEP_WIDTH + MAX_LATE_SHIFT} bits, they reach "
        f"{max(reach.potentials)}",
        "use fewer bits, or split the layer",
    )


def _bits_above(largest: int) -> int:
    """Smallest shift that brings ``largest`` down to 2**15 - 1 or less."""
    return next(a for a in range(64) if largest <= HIGHEST << a)


def _mantissa(value: Fraction, *, is_floor: bool = False) -> tuple[int, int]:
    """``(m, s)`` with ``m / 2**s`` next to ``value`` and m of 16 bits; below it if ``is_floor``."""
    top = 1 << MULTIPLIER_WIDTH
    s = MULTIPLIER_WIDTH - 1 + value.denominator.bit_length() - value.numerator.bit_length()
    while value * Fraction(2) ** s >= top:
        s -= 1
    while value * Fraction(2) ** (s + 1) < top:
        s += 1
    scaled = value * Fraction(2) ** s
    m = int(scaled) if is_floor else round(scaled)
    return (m >> 1, s - 1) if m == top else (m, s)


def _check_sums(layer: Layer, network: Network, reach: LayerReach) -> None:
    """Either the weights alone or calibration must keep I[t] within 16 bits."""
    low, high = step_bounds(layer, network)
    if (low.min() < LOWEST or high.max() > HIGHEST) and reach.sums > HIGHEST:
        raise RangeError(
            layer.name,
            f"the weight sum of a time step must fit in {STEP_WIDTH} signed bits, calibration "
            f"reached {reach.sums}",
            "use INTEGRATION=exact, or fewer bits of weights",
        )


# Constants --------------------------------------------------------------------------------------
def _with_integration(layer: Layer, form: Integration, multipliers: bool) -> Layer:
    """The layer with ``form``, its requantization moved from the exact sum's scale to V's."""
    lost, lost_bits = dropped_by(form)
    lost_mean = Fraction(lost, 1 << lost_bits)
    pairs, biases = [], []
    for c, (m, s, b) in enumerate(
        zip(layer.multiplier.tolist(), layer.shift.tolist(), layer.bias.tolist(), strict=True)
    ):
        bias = Fraction(b << (8 * layer.bias_shift), 1 << s)  # in units of the activation
        for m2, s2 in _rescalings(m, s, form, multipliers):
            shifted = bias * (1 << s2) + lost_mean * m2
            if m2 * -LOWEST + abs(shifted) < 1 << (PRODUCT_WIDTH - 1):
                break
        else:
            raise RangeError(
                layer.name,
                f"channel {c}: k2 = {m} * 2**{_exponent(form) - s} must have a multiplier and a "
                f"shift in 0..{MAX_SHIFT}" + ("" if multipliers else ", without multipliers 1"),
                "choose a preset with multipliers, or INTEGRATION=exact",
            )
        pairs.append((m2, s2))
        biases.append(shifted)
    bias_array, bias_bytes = _bias(layer.name, biases)
    return replace(
        layer,
        integration=form,
        bias=bias_array,
        bias_shift=bias_bytes,
        multiplier=np.array([m for m, _ in pairs], np.int64),
        shift=np.array([s for _, s in pairs], np.int64),
    )


def _exponent(form: Integration) -> int:
    """V stands for the exact sum divided by two to this, where k1 is a power of two."""
    return form.shift


def _rescalings(m: int, s: int, form: Integration, multipliers: bool) -> Iterator[tuple[int, int]]:
    """Pairs (multiplier, shift) for ``k2 = m / 2**s / k1``, the most precise first."""
    if isinstance(form, Scaled) and form.multiplier > 1:
        m, s = _mantissa(Fraction(m << form.shift, form.multiplier << s))
    else:
        s -= _exponent(form)
    # More bits in multiplier and shift alike keep more of the bias.
    spare = MULTIPLIER_WIDTH - m.bit_length() if multipliers else 0
    for more in range(min(spare, max(_exponent(form), -s)), -1, -1):
        if 0 <= s + more <= MAX_SHIFT:
            yield m << more, s + more
    while m > 1 and s > 0:
        m, s = round(Fraction(m, 2)), s - 1
        if s <= MAX_SHIFT:
            yield m, s


def _bias(name: str, biases: Sequence[Fraction]) -> tuple[IntArray, int]:
    """Biases as integers of 32 bits, and the bytes that they are shifted left by."""
    limit = 1 << (BIAS_WIDTH - 1)
    for n_bytes in range(MAX_BIAS_SHIFT + 1):
        rounded = [round(b / (1 << (8 * n_bytes))) for b in biases]
        if all(-limit <= b < limit for b in rounded):
            return np.array(rounded, np.int64), n_bytes
    raise RangeError(
        name,
        f"the bias must fit in {BIAS_WIDTH} bits and {MAX_BIAS_SHIFT} bytes of shift, "
        f"reached {max(abs(int(b)) for b in biases)}",
        "use INTEGRATION=exact",
    )
