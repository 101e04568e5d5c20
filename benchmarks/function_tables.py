# SPDX-License-Identifier: Apache-2.0
"""Functions of one value by activation table: the noise of an index of 8 bits and of finer ones.

``python -m stemcore.benchmarks.function_tables [--deviation 2] [--sums 100000]``

Sums are normally distributed. The output has 8 bits in each case, at the power of two with the
least squared error; so has the step of the index, wherever it lies best. Without the index, the
function of the real sum is rounded to the output.
"""

import argparse
import math
from collections.abc import Iterator, Sequence

import numpy as np

from stemcore.compiler.frontend.ops.absolute import Absolute
from stemcore.compiler.frontend.ops.clip import Clip
from stemcore.compiler.frontend.ops.elu import ELU
from stemcore.compiler.frontend.ops.gelu import GELU
from stemcore.compiler.frontend.ops.hardsigmoid import Hardsigmoid
from stemcore.compiler.frontend.ops.hardswish import Hardswish
from stemcore.compiler.frontend.ops.leaky_relu import LeakyReLU
from stemcore.compiler.frontend.ops.mish import Mish
from stemcore.compiler.frontend.ops.operator import FloatArray
from stemcore.compiler.frontend.ops.pointwise import Pointwise
from stemcore.compiler.frontend.ops.sigmoid import Sigmoid
from stemcore.compiler.frontend.ops.sign import Sign
from stemcore.compiler.frontend.ops.silu import SiLU
from stemcore.compiler.frontend.ops.softplus import Softplus
from stemcore.compiler.frontend.ops.tanh import Tanh
from stemcore.compiler.quantization.quantize_function import evaluate
from stemcore.compiler.quantization.scales import power_above, scale_candidates
from stemcore.golden.spec.integers import limits

FUNCTIONS: tuple[Pointwise, ...] = (
    *(Tanh(), Sigmoid(), Hardsigmoid(), LeakyReLU(0.1), Clip(-1.0, 1.0), ELU(), SiLU()),
    *(Hardswish(), GELU(), Mish(), Softplus(), Absolute(), Sign()),
)
OUTPUT_BITS = 8
INDEX_BITS = (8, 9, 10, 12)


def signal_to_noise(function: Pointwise, sums: FloatArray) -> list[float]:
    """Decibels without an index, and with one of each of ``INDEX_BITS``."""
    wanted = evaluate((function,), sums)
    is_signed = function.lowest(-math.inf) < 0
    low, high = limits(OUTPUT_BITS, is_signed)

    def rounded(values: FloatArray, scale: float) -> FloatArray:
        return np.clip(np.rint(values / scale), low, high) * np.float64(scale)

    scales = scale_candidates(float(np.abs(wanted).max()), high, is_exact=True).tolist()
    noises = [_power(rounded(wanted, scale) - wanted) for scale in scales]
    scale = scales[int(np.argmin(noises))]
    found = [min(noises)]
    for bits in INDEX_BITS:
        found.append(
            min(
                _power(rounded(evaluate((function,), seen), scale) - wanted)
                for seen in _indexed(sums, bits, is_signed)
            )
        )
    return [_decibels(_power(wanted), noise) for noise in found]


def _indexed(sums: FloatArray, bits: int, is_signed: bool) -> Iterator[FloatArray]:
    """The sums that indices of ``bits`` bits stand for, by step and place."""
    low, high = limits(bits, is_signed)
    least, most = float(sums.min()), float(sums.max())
    covering = float(power_above((most - least) / (high - low)))
    for step in covering * 2.0 ** np.arange(1, -5, -1):
        middle = (low + high) / 2
        places = (
            middle - (least + most) / 2 / step,
            middle,
            high - most / step,
            low - least / step,
        )
        for zero in dict.fromkeys(round(place) for place in places):
            yield (np.clip(np.rint(sums / step) + zero, low, high) - zero) * step


def _power(values: FloatArray) -> float:
    return float(np.square(values).sum())


def _decibels(signal: float, noise: float) -> float:
    return 10 * math.log10(signal / noise) if noise else math.inf


def main(words: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="stemcore.benchmarks.function_tables", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--deviation", type=float, default=2.0, help="of the sums")
    parser.add_argument("--sums", type=int, default=100_000)
    options = parser.parse_args(words)
    sums = np.random.default_rng(0).normal(size=options.sums) * options.deviation
    heads = ("function", "real sum", *(f"{bits} bits" for bits in INDEX_BITS))
    print("".join(f"{head:>16}" for head in heads))
    for function in FUNCTIONS:
        cells = [f"{decibels:.1f} dB" for decibels in signal_to_noise(function, sums)]
        print("".join(f"{cell:>16}" for cell in (function.describe(), *cells)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
