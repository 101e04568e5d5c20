# SPDX-License-Identifier: Apache-2.0
"""The input contract: what a byte of an image means to a network, and what the host fires for it.

A float network sees ``x = gain[c] * byte + offset[c]``. The host fires an integer, the *code*,
which is worth ``step[c]``: ``code = clip(round_half_even(x / step[c]))``. Code 0 is x = 0, so the
zero padding of the first layer is the float network's own, whatever the offset is. The steps of the
channels go into the weights that read the input, which changes nothing else.

===============  ==========================  =====================  ==============================
stated           x                           step                   codes
===============  ==========================  =====================  ==============================
``signed``       ``(byte - 128) / 128``      1/128                  ``byte - 128``, at least -127
``unit``         ``byte / 255``              1/255                  the byte, unsigned
``u8``           ``byte``                    1                      the byte, unsigned
``LOW..HIGH``    linear, 0 to LOW,           the largest magnitude  signed where LOW is negative
                 255 to HIGH                 is the largest code
``MEAN,STD``     ``(byte / 255 - mean) /     the same               the same
                 std``, numbers for all
                 channels or one for each
===============  ==========================  =====================  ==============================

Only ``signed`` clips, byte 0 to the value of byte 1: the project's own networks are trained so.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.spec.integers import limits

from .errors import CompileError

INPUT_BITS = 8
LARGEST_BYTE = 255
WHERE, AUTO = "INPUT", "auto"  # where it is stated; the word for trying the usual ones
WORDS = (
    "unit (0..1: byte / 255), signed ((byte - 128) / 128), u8 (0..255), LOW..HIGH such as -1..1, "
    "or MEAN,STD such as 0.5,0.25 for (byte / 255 - mean) / std, all means before all deviations "
    "where channels differ"
)
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({NUMBER})\.\.({NUMBER})")
Floats = tuple[float, ...]


@dataclass(frozen=True)
class InputMap:
    """What a byte means, and what a code is worth.

    Attributes
    ----------
    name : str
        As it was stated, for reports.
    gain, offset : tuples of one float, or one a channel
        ``x = gain * byte + offset``; empty where bytes have no meaning, because the network gets
        values that are no pictures.
    step : tuple of one positive float, or one a channel
        Real value of code 1.
    is_signed : bool
        Codes are -127..127, else 0..255.
    """

    name: str
    gain: Floats
    offset: Floats
    step: Floats
    is_signed: bool = True

    def __post_init__(self) -> None:
        numbers = (*self.gain, *self.offset, *self.step)
        sizes = {len(part) for part in (self.gain, self.offset, self.step)} - {0, 1}
        if (
            len(sizes) > 1
            or len(self.gain) != len(self.offset)
            or not all(math.isfinite(number) for number in numbers)
            or not self.step
            or min(self.step) <= 0
        ):
            raise ValueError(
                f"input map {self.name}: gain, offset and step must fit, got {numbers}"
            )

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return limits(INPUT_BITS, self.is_signed)

    @property
    def scale(self) -> float:
        """A power of two near the steps: what a code is worth once :attr:`factors` are weights'."""
        return 2.0 ** round(math.log2(max(self.step)))

    @property
    def factors(self) -> Floats:
        """``step / scale``, one or one a channel: what weights that read the input are multiplied
        by; empty where that changes nothing."""
        factors = tuple(step / self.scale for step in self.step)
        return () if set(factors) == {1.0} else factors

    def check_channels(self, n_channels: int) -> None:
        """Raises :class:`CompileError` unless it has one number, or one for each channel."""
        n = max(len(self.gain), len(self.step))
        if n not in (1, n_channels):
            raise CompileError(
                WHERE,
                f"must have one mean and deviation, or one for each of {n_channels} channels, "
                f"has {n}",
                "give 2 numbers, or two for each channel, the means first",
            )

    def check_bytes(self) -> None:
        """Raises :class:`CompileError` unless bytes of images have a meaning."""
        if not self.gain:
            raise CompileError(
                WHERE,
                "must say what a byte of an image means to the network; neither the model nor an "
                "option does",
                f"state it with INPUT=.. (make), --input or stemcore.compile(input=..), or on the "
                f"module, such as 'module.input_range = (0, 1)'. It is one of {WORDS}; INPUT=auto "
                "tries the usual ones on labelled images",
            )

    @cached_property
    def _real(self) -> NDArray[np.float64]:
        """Real value of every byte (1 or C, 256), clipped to what codes can say."""
        self.check_bytes()
        gain, offset = (np.array(part)[:, None] for part in (self.gain, self.offset))
        step, (low, high) = np.array(self.step)[:, None], self.limits
        real = gain * np.arange(LARGEST_BYTE + 1) + offset
        # Half a step beyond the last code still rounds to it, as it does between codes.
        clipped: NDArray[np.float64] = np.clip(real, low * step, high * step)
        return clipped

    @cached_property
    def _codes(self) -> NDArray[np.int16]:
        """Code of every byte (1 or C, 256)."""
        codes = np.rint(self._real / np.array(self.step)[:, None])
        whole: NDArray[np.int16] = np.clip(codes, *self.limits).astype(np.int16)
        return whole

    def codes_of_bytes(self, images: NDArray[np.uint8]) -> NDArray[np.integer]:
        """What the host fires for pictures.

        images : uint8 (N, C, ..). Returns int8 of the same shape, int16 where codes are unsigned.
        """
        return _look_up(self._codes.astype(self.code_type), images)

    def real_of_bytes(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the float network sees for pictures: float32, the shape of ``images``."""
        return _look_up(self._real.astype(np.float32), images)

    def codes_of_real(self, values: NDArray[np.floating], where: str) -> NDArray[np.integer]:
        """The nearest codes, halves to even, of what the float network sees (N, C, ..).

        Raises ``ValueError``, beginning with ``where``, for values beyond the codes: nothing is
        clipped.
        """
        if not np.isfinite(values).all():
            raise ValueError(
                f"{where}: must be finite; NaN or infinity came; look where it comes from"
            )
        codes = np.rint(values.astype(np.float64) / self._per_channel(self.step, values.ndim))
        low, high = self.limits
        if codes.size and (codes.min() < low or codes.max() > high):
            first, last = float(values.min()), float(values.max())
            raise ValueError(
                f"{where}: floats must lie in {low * max(self.step):.6g}.."
                f"{high * max(self.step):.6g}, the float network's input; {first:.6g}..{last:.6g} "
                f"came; {_way_out(first, last)}"
            )
        return codes.astype(self.code_type)

    def codes(self, images: NDArray[Any], where: str = "images") -> NDArray[np.integer]:
        """What the host fires for bytes of pictures, or for floats as the network sees them."""
        if images.dtype == np.uint8:
            return self.codes_of_bytes(images)
        return self.codes_of_real(images, where)

    def real(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """What the float network sees of bytes of pictures, or of what it sees."""
        if images.dtype == np.uint8:
            return self.real_of_bytes(images)
        return images.astype(np.float32, copy=False)

    def real_of_codes(self, codes: NDArray[np.integer]) -> NDArray[np.float32]:
        """What codes (N, C, ..) are worth: float32, the same shape."""
        return (codes * self._per_channel(self.step, codes.ndim)).astype(np.float32)

    @property
    def code_type(self) -> type[np.integer]:
        """The type that holds codes: int8, or int16 where they are unsigned."""
        return np.int8 if self.is_signed else np.int16

    def describe(self) -> str:
        """What is done with a byte, in one line."""
        low, high = self.limits
        what = "one code is worth " + _numbers(self.step)
        if not self.gain:
            return f"{self.name}: {what}, codes are {low}..{high}"
        if self == SIGNED:
            return "signed: a byte means (byte - 128) / 128, code = byte - 128, at least -127"
        if np.array_equal(self._codes, np.arange(LARGEST_BYTE + 1)[None]):
            return f"{self.name}: {self._formula()}, codes are the bytes"
        first, last = int(self._codes.min()), int(self._codes.max())
        return (
            f"{self.name}: {self._formula()}; the host fires round(x / step), {first}..{last}, "
            f"with step {_numbers(self.step)}"
        )

    def _formula(self) -> str:
        product, offset = f"{_numbers(self.gain)} * byte", _numbers(self.offset)
        if not any(self.offset):
            return f"a byte means x = {product}"
        signed = f"- {offset[1:]}" if offset.startswith("-") else f"+ {offset}"
        return f"a byte means x = {product} {signed}"

    def _per_channel(self, numbers: Floats, ndim: int) -> NDArray[np.float64]:
        """One number a channel, along axis 1 of ``ndim``."""
        return np.array(numbers).reshape(-1, *(1,) * (ndim - 2))


def _look_up(table: NDArray[Any], images: NDArray[np.uint8]) -> NDArray[Any]:
    """``table[c, byte]`` for images (N, C, ..), from one row for all channels or one for each."""
    if len(table) == 1:
        return np.take(table[0], images)
    channels = np.arange(len(table)).reshape(-1, *(1,) * (images.ndim - 2))
    found: NDArray[Any] = table[channels, images]
    return found


def _way_out(low: float, high: float) -> str:
    if low >= 0 and high > 2:
        return "these look like bytes: pass them as uint8"
    if low >= 0 and high <= 1:
        return "say input='unit' for values in 0..1"
    return f"say the range that the network was trained on, such as input='{low:.3g}..{high:.3g}'"


def _numbers(numbers: Floats) -> str:
    texts = [f"{number:.4g}" for number in numbers]
    return texts[0] if len(set(texts)) == 1 else f"({', '.join(texts)})"


SIGNED = InputMap("signed", (2.0**-7,), (-1.0,), (2.0**-7,))
# Integers and floats of the caller's own: the scale of SIGNED, and no meaning for bytes.
UNSTATED = InputMap("unstated", (), (), (2.0**-7,))


def affine_map(name: str, gain: Sequence[float], offset: Sequence[float]) -> InputMap:
    """The map of ``x = gain * byte + offset``, with steps that no byte is clipped by.

    Codes are unsigned where no x is negative; then, without an offset, they are the bytes.
    """
    ends = [np.array(offset), np.array(gain) * LARGEST_BYTE + np.array(offset)]
    is_signed = bool(np.minimum(*ends).min() < 0)
    largest = np.maximum(*np.abs(ends))
    if not (largest > 0).all():
        raise CompileError(WHERE, f"must leave bytes apart, got {name}", f"state one of: {WORDS}")
    step = largest / limits(INPUT_BITS, is_signed)[1]
    return InputMap(
        name, tuple(map(float, gain)), tuple(map(float, offset)), tuple(map(float, step)), is_signed
    )


def range_map(name: str, low: float, high: float) -> InputMap:
    """The map for values in ``low..high`` that are no pictures."""
    is_signed = low < 0
    largest = max(abs(low), abs(high)) or 1.0
    return InputMap(name, (), (), (largest / limits(INPUT_BITS, is_signed)[1],), is_signed)


def parse_input(text: str) -> InputMap:
    """The map that a user stated in words, see the table above.

    Raises :class:`CompileError` for other words.
    """
    text = text.strip()
    if text == SIGNED.name:
        return SIGNED
    if text in ("unit", "u8"):
        return affine_map(text, (1 / LARGEST_BYTE if text == "unit" else 1.0,), (0.0,))
    if (found := RANGE.fullmatch(text)) is not None:
        low, high = map(float, found.groups())
        if low >= high:
            raise CompileError(
                WHERE, f"must be LOW..HIGH with LOW below HIGH, got {text}", "exchange them"
            )
        return affine_map(text, ((high - low) / LARGEST_BYTE,), (low,))
    parts = [part.strip() for part in text.split(",")]
    if len(parts) % 2 == 0 and all(re.fullmatch(NUMBER, part) for part in parts):
        mean, deviation = np.array([float(part) for part in parts]).reshape(2, -1)
        if (deviation <= 0).any():
            raise CompileError(
                WHERE,
                f"must have positive deviations after the means, got {text}",
                "write all means, then all standard deviations",
            )
        return affine_map(
            text, (1 / (LARGEST_BYTE * deviation)).tolist(), (-mean / deviation).tolist()
        )
    raise CompileError(WHERE, f"must say what a byte means, got {text!r}", f"state one of: {WORDS}")
