# SPDX-License-Identifier: Apache-2.0
"""Small networks drawn at random from everything that a lowered network may contain."""

import numpy as np
from numpy.typing import NDArray

from golden.network import INPUT, Connection, Layer, MaxPool, Network, Population
from golden.tables import identity, nearest_ones, rot


def random_weight(rng: np.random.Generator, *shape: int) -> NDArray[np.int8]:
    """Weights that use the whole range, with a few zeros."""
    return (rng.integers(-127, 128, shape) * (rng.random(shape) < 0.9)).astype(np.int8)


def random_image(rng: np.random.Generator, population: Population, n: int) -> NDArray[np.int64]:
    """Images within the population's limits, the limits included."""
    low, high = population.limits
    images = rng.integers(low, high + 1, (n, *population.shape))
    rails = rng.random(images.shape)
    return np.where(rails < 0.05, low, np.where(rails > 0.95, high, images))


def _constants(rng: np.random.Generator, channels: int, general: bool, fan_in: int) -> dict:
    # Scale of a typical sum of fan_in products of 7-bit weights and 8-bit activations.
    typical = int(np.ceil(np.log2(60 * 100 * np.sqrt(fan_in) / 100)))
    if general:
        return {
            "bias": rng.integers(-3000, 3000, channels),
            "multiplier": rng.integers(1 << 15, 1 << 16, channels),
            "shift": rng.integers(typical + 15, typical + 17, channels),
            "bias_shift": 2,
        }
    return {
        "bias": rng.integers(-3000, 3000, channels),
        "multiplier": np.ones(channels, np.int64),
        "shift": rng.integers(max(typical - 1, 0), typical + 2, channels),
    }


def _table(rng: np.random.Generator, bits: int, is_signed: bool) -> NDArray[np.int64] | None:
    draw = int(rng.integers(6))
    if draw == 0:
        return rot(bits, 1, is_signed)
    if draw == 1:
        return nearest_ones(bits, 2, is_signed)
    if draw == 2:
        # Not monotonic, and silent where the activation is zero: idle lanes must not fire.
        return identity(bits, is_signed) * (rng.random(1 << bits) < 0.7)
    return None


def _pool(rng: np.random.Generator, shape: tuple[int, int, int]) -> MaxPool | None:
    if min(shape[1:]) < 3 or rng.random() < 0.5:
        return None
    return (
        MaxPool((2, 2), (2, 2)),
        MaxPool((3, 2), (1, 2), (1, 0)),
        MaxPool((3, 3), (2, 2), (1, 1)),
    )[rng.integers(3)]


def random_network(
    rng: np.random.Generator, *, n_layers: int = 4, general: bool = False, size: int = 6
) -> Network:
    """Convolutions with strides, padding, groups and shifts, residuals, pooling, a dense end.

    ``general`` draws free multipliers; otherwise scales are powers of two.
    """
    bits, is_signed = int(rng.integers(2, 9)), bool(rng.integers(2))
    shape = (int(rng.integers(1, 4)), size, size - 1)
    source = Population(INPUT, shape, bits, is_signed)
    layers: list[Layer] = []
    current = source
    for number in range(n_layers):
        channels, height, width = current.shape
        kernel = (int(rng.integers(1, min(3, height) + 1)), int(rng.integers(1, min(3, width) + 1)))
        padding = (int(rng.integers(kernel[0] // 2 + 1)), int(rng.integers(kernel[1] // 2 + 1)))
        stride = (1, 1) if min(height, width) < 3 or rng.random() < 0.7 else (2, 1)
        divisors = [g for g in range(1, channels + 1) if channels % g == 0]
        groups = int(rng.choice(divisors))
        c_out = groups * int(rng.integers(1, 4))
        weight = random_weight(rng, c_out, channels // groups, *kernel)
        shift = int(rng.integers(3))
        connection = Connection(current.name, weight, stride, padding, groups, shift)
        out_shape = (
            c_out,
            (height + 2 * padding[0] - kernel[0]) // stride[0] + 1,
            (width + 2 * padding[1] - kernel[1]) // stride[1] + 1,
        )
        connections = [connection]
        if out_shape[1:] == (height, width) and rng.random() < 0.6:
            identity_weight = np.zeros((c_out, channels, 1, 1), np.int8)
            identity_weight[np.arange(c_out), np.arange(c_out) % channels] = 1
            connections.append(Connection(current.name, identity_weight, shift=5))
        bits, is_signed = int(rng.integers(2, 9)), bool(rng.random() < 0.3)
        layer = Layer(
            f"layer{number}", out_shape, tuple(connections),
            **_constants(rng, c_out, general, weight[0].size << (2 * shift)),
            bits=bits, is_signed=is_signed, table=_table(rng, bits, is_signed),
            pool=_pool(rng, out_shape),
        )  # fmt: skip
        layers.append(layer)
        current = layer.population
    weight = random_weight(rng, 5, *current.shape)
    layers.append(
        Layer(
            "dense", (5, 1, 1), (Connection(current.name, weight),),
            **_constants(rng, 5, general, weight[0].size), bits=8, is_signed=True,
        )
    )  # fmt: skip
    names = [INPUT, *(layer.name for layer in layers)]
    return Network("random", source, tuple(layers), dict.fromkeys(names, 1.0))
