# SPDX-License-Identifier: Apache-2.0
"""A line that damages bytes, and the host at its end, for a simulator of gateware."""

import numpy as np

from stemcore.golden.spec.uart_frames import FLAG


class Damage:
    """Flips a bit, drops, doubles and inserts bytes, each with the same rate."""

    def __init__(self, rng: np.random.Generator, rate: float):
        self._rng, self._rate = rng, rate
        self.n = 0

    def __call__(self, text: bytes) -> bytes:
        if not self._rate:
            return text
        out = bytearray()
        for byte in text:
            if self._rng.random() >= 4 * self._rate:
                out.append(byte)
                continue
            self.n += 1
            match self._rng.integers(4):
                case 0:
                    out.append(byte ^ 1 << int(self._rng.integers(8)))
                case 1:
                    pass
                case 2:
                    out += bytes([byte, byte])
                case _:
                    inserted = FLAG if self._rng.integers(2) else int(self._rng.integers(256))
                    out += bytes([byte, inserted])
        return bytes(out)
