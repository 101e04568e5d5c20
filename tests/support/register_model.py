# SPDX-License-Identifier: Apache-2.0
"""What AXI4-Lite accesses to a register map must be answered, in plain Python."""

from collections.abc import Mapping

from stemcore.golden.spec.host_registers import (
    HOST_REGISTERS,
    REGISTER_BYTES,
    REGISTER_WIDTH,
    Access,
)

OKAY, SLVERR = 0, 2
WORD_MASK = (1 << REGISTER_WIDTH) - 1
BY_NUMBER = {register.number: register for register in HOST_REGISTERS.values()}
N_NUMBERS = max(BY_NUMBER) + 1


class RegisterModel:
    """Registers whose values follow from writes alone; what else is read is given.

    Parameters
    ----------
    n_bytes : int
        Of the bus's data.
    values : mapping of name to int
        What is in the registers now.
    """

    def __init__(self, n_bytes: int, values: Mapping[str, int]):
        self._n_bytes = n_bytes
        self.values = dict(values)

    def _numbers(self, address: int) -> list[int]:
        first = address // self._n_bytes * self._n_bytes // REGISTER_BYTES
        return [first + n for n in range(self._n_bytes // REGISTER_BYTES)]

    def _is_outside(self, address: int) -> bool:
        top = -(-N_NUMBERS * REGISTER_BYTES // self._n_bytes) * self._n_bytes
        return address % REGISTER_BYTES != 0 or address >= top

    def write(self, address: int, data: int, strobe: int) -> int:
        """The response."""
        if self._is_outside(address):
            return SLVERR
        changes = {}
        for place, number in enumerate(self._numbers(address)):
            lanes = strobe >> place * REGISTER_BYTES & (1 << REGISTER_BYTES) - 1
            mask = sum(0xFF << 8 * n for n in range(REGISTER_BYTES) if lanes >> n & 1)
            ones = data >> place * REGISTER_WIDTH & mask
            register = BY_NUMBER.get(number)
            if not lanes:
                continue
            if register is None or number < address // REGISTER_BYTES:
                return SLVERR
            if register.access in (Access.CONSTANT, Access.STATUS) or ones & ~register.mask:
                return SLVERR
            old = self.values[register.name]
            if register.access is Access.VALUE:
                changes[register.name] = old & ~mask | ones
            elif register.access is Access.EVENTS:
                changes[register.name] = old & ~ones
        self.values |= changes
        return OKAY

    def read(self, address: int) -> tuple[int, int]:
        """Response and data."""
        if self._is_outside(address):
            return SLVERR, 0
        numbers = self._numbers(address)
        if not any(n in BY_NUMBER and n >= address // REGISTER_BYTES for n in numbers):
            return SLVERR, 0
        words = [self.values[BY_NUMBER[n].name] if n in BY_NUMBER else 0 for n in numbers]
        return OKAY, sum(word << n * REGISTER_WIDTH for n, word in enumerate(words))
