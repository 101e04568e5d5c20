# SPDX-License-Identifier: Apache-2.0
"""Registers made from their definition, behind AXI4-Lite."""

from collections.abc import Mapping, Sequence

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from stemcore.golden.spec.host_registers import (
    ADDRESS_WIDTH,
    REGISTER_BYTES,
    REGISTER_WIDTH,
    Access,
    HostRegister,
)

from ..layouts import struct
from .axi import AxiLite
from .axi_lite_port import AxiLitePort


class RegisterFile(wiring.Component):
    """All registers of a map. A write is whole: where any part is refused, nothing changes.

    SLVERR answers an access that is not aligned to registers, or beyond the map's last; a read of a
    place without a register; a write that strobes one, or a register that is read-only, or sets a
    bit that has no field, or a command that is refused. On a bus of 64 bits an access has two
    registers: a write concerns those that it strobes (below the address there must be none), a read
    is refused where neither from the address on is there. Reading changes nothing.

    Parameters
    ----------
    registers : sequence of HostRegister
    data_width : int
        Of the bus, 32 or 64.
    constants : mapping of name to int
        Values of the registers of ``Access.CONSTANT``.
    inits : mapping of name to int
        Values after reset in the place of ``HostRegister.init``.

    Members
    -------
    bus : ``In(AxiLite)``
    and for each register, by its name in lower case:
        STATUS: ``In``, what is read. VALUE: ``Out``, what was written. COMMAND: ``Out``, ones of a
        write, for one cycle, and ``NAME_refused``, ``In(1)``: a write of ones is refused now.
        EVENTS: ``Out``, and ``NAME_set``, ``In``: bits that are set now, which wins over clearing;
        ``NAME_cleared``, ``Out``: bits that a write clears now.
    """

    def __init__(
        self,
        *,
        registers: Sequence[HostRegister],
        data_width: int,
        constants: Mapping[str, int],
        inits: Mapping[str, int],
    ):
        self._registers = {register.number: register for register in registers}
        self._constants, self._inits = constants, inits
        members = {"bus": In(AxiLite(address_width=ADDRESS_WIDTH, data_width=data_width))}
        for register in registers:
            name, shape = register.layout.name, struct(register.layout)
            match register.access:
                case Access.STATUS:
                    members[name] = In(shape)
                case Access.VALUE:
                    members[name] = Out(shape, init=register.layout.unpack(self._init(register)))
                case Access.COMMAND:
                    members |= {name: Out(shape), f"{name}_refused": In(1)}
                case Access.EVENTS:
                    members |= {name: Out(shape), f"{name}_set": In(shape)}
                    members[f"{name}_cleared"] = Out(shape)
        super().__init__(members)

    def _init(self, register):
        return self._inits.get(register.name, register.init)

    def elaborate(self, platform):
        m = Module()
        data_width = len(self.bus.wdata)
        n_halves = data_width // REGISTER_WIDTH
        m.submodules.port = port = AxiLitePort(address_width=ADDRESS_WIDTH, data_width=data_width)
        connect(m, flipped(self.bus), port.bus)

        n_words = -(-(max(self._registers) + 1) // n_halves)
        write_word, write_half, write_bad = _place(port.write_address, n_halves, n_words)
        read_word, read_half, read_bad = _place(port.read_address, n_halves, n_words)
        accepted = Signal()
        refusals = []
        with m.Switch(read_word):
            for word in range(n_words):
                halves = [self._registers.get(word * n_halves + half) for half in range(n_halves)]
                there = Cat(register is not None for register in halves)
                with m.Case(word):
                    m.d.comb += [
                        port.read_data.eq(Cat(self._read(register) for register in halves)),
                        port.read_error.eq(read_bad | ~(there >> read_half).any()),
                    ]
            with m.Default():
                m.d.comb += port.read_error.eq(1)
        for number in range(n_words * n_halves):
            word, half = divmod(number, n_halves)
            strobe = port.write_strobe.word_select(half, REGISTER_BYTES)
            mask = Cat(bit.replicate(8) for bit in strobe)
            touched = Signal(name=f"touched_{number}")
            ones = Signal(REGISTER_WIDTH, name=f"ones_{number}")
            m.d.comb += [
                touched.eq((write_word == word) & strobe.any()),
                ones.eq(port.write_data.word_select(half, REGISTER_WIDTH) & mask),
            ]
            register = self._registers.get(number)
            refused = 1 if register is None else (half < write_half) | self._refuses(register, ones)
            refusals.append(touched & refused)
            if register is not None:
                self._connect(m, register, accepted & touched, ones, mask)
        m.d.comb += [
            port.write_error.eq(write_bad | Cat(refusals).any()),
            accepted.eq(port.write & ~port.write_error),
        ]
        return m

    def _refuses(self, register, ones):
        """Whether a write that sets ``ones`` is refused."""
        if not register.access.is_writable:
            return 1
        refused = ones[register.layout.width :].any()
        if register.access is Access.COMMAND:
            refused |= ones.any() & getattr(self, f"{register.layout.name}_refused")
        return refused

    def _connect(self, m, register, written, ones, mask):
        """What a write does, and what sets the register otherwise."""
        width, name = register.layout.width, register.layout.name
        if register.access is Access.VALUE:
            value = getattr(self, name).as_value()
            with m.If(written):
                m.d.sync += value.eq((value & ~mask[:width]) | ones[:width])
        elif register.access is Access.COMMAND:
            m.d.comb += getattr(self, name).as_value().eq(Mux(written, ones[:width], 0))
        elif register.access is Access.EVENTS:
            value, sets, clears = (
                getattr(self, f"{name}{suffix}").as_value() for suffix in ("", "_set", "_cleared")
            )
            m.d.comb += clears.eq(Mux(written, ones[:width], 0))
            m.d.sync += value.eq((value & ~clears) | sets)

    def _read(self, register):
        """What is read, 32 bits."""
        value = Const(0, REGISTER_WIDTH)
        if register is None or register.access is Access.COMMAND:
            return value
        if register.access is Access.CONSTANT:
            return Const(self._constants[register.name], REGISTER_WIDTH)
        field = getattr(self, register.layout.name).as_value()
        return Cat(field, value[len(field) :])


def _place(address, n_halves, n_words):
    """Number of the bus word, register in it, and whether the address is none of the map."""
    low = (REGISTER_BYTES * n_halves - 1).bit_length()
    half = address[2:low] if n_halves > 1 else Const(0, 1)
    word = address[low:]
    return word, half, address[:2].any() | (word >= n_words)
