# SPDX-License-Identifier: Apache-2.0
"""Bit fields of packets and memory words, each written once.

A :class:`BitFields` lists its fields from bit 0 upward. The gateware makes its layouts from the
same objects, the compiler packs with them, the models unpack with them. Standard library only:
``pack`` and ``unpack`` work on Python integers, and on numpy integer arrays because they use
operators alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from .params import (
    ACTIVATION_WIDTH,
    BIAS_SHIFT_WIDTH,
    BIAS_WIDTH,
    CHUNK_WIDTH,
    MULTIPLIER_WIDTH,
    WEIGHT_WIDTH,
    ChipParams,
    bits_for,
)

Word = TypeVar("Word")  # an integer, or an integer array


@dataclass(frozen=True)
class BitFields:
    """Named unsigned fields packed from bit 0 upward."""

    name: str
    widths: tuple[tuple[str, int], ...]

    @property
    def width(self) -> int:
        """Bits in all."""
        return sum(width for _, width in self.widths)

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        """Yields ``(field, lowest bit, width)``."""
        position = 0
        for field, width in self.widths:
            yield field, position, width
            position += width

    def pack(self, **values: Word) -> Word:
        """One integer (or integer array) from a value for every field.

        Raises ``ValueError`` for an unknown or missing field, or a value that does not fit.
        """
        names = [field for field, _ in self.widths]
        if sorted(values) != sorted(names):
            raise ValueError(f"{self.name}: fields must be {names}, got {sorted(values)}")
        word: Any = 0
        value: Any
        for field, position, width in self:
            value = values[field]
            low, high = (value.min(), value.max()) if getattr(value, "size", 0) else (value, value)
            if getattr(value, "size", 1) and (low < 0 or high >> width):
                raise ValueError(
                    f"{self.name}.{field}: must fit in {width} unsigned bits, got {low}..{high}"
                )
            word = word | (value << position)
        packed: Word = word
        return packed

    def unpack(self, word: Word) -> dict[str, Word]:
        """Every field of an integer (or integer array)."""
        bits: Any = word
        return {field: (bits >> position) & ((1 << width) - 1) for field, position, width in self}


GAP_WIDTH = 6  # bits of the distance of spikes sent, in cycles


class Kind(IntEnum):
    """What a flit carries."""

    SPIKE = 0
    END = 1  # a source has sent the last spike of its sample (or time step)
    CREDIT = 2  # a destination is ready for the next sample (or time step)
    PACE = 3  # a destination asks its sources to hold their spikes (payload t = 1) or to go on (0)
    ADDRESS = 4  # sets the configuration pointer
    WRITE = 5  # writes a chunk at the pointer, which moves on
    READ = 6  # asks for the chunk at the pointer, which moves on
    DATA = 7  # the answer, to the host


class Memory(IntEnum):
    """Memories of a core, as the configuration pointer numbers them."""

    CONTROL = 0
    AXON = 1
    TABLE_C = 2
    TABLE_Y = 3
    TABLE_X = 4
    WEIGHT = 5
    UPDATE = 6
    REQUANT = 7
    LOOKUP = 8
    FIRE = 9
    DESTINATION = 10


class Control(IntEnum):
    """Registers of the memory ``CONTROL``, 32 bits each. From SOPS_LOW on they are read-only."""

    N_SOURCES = 0  # END tokens that complete a sample
    N_DESTINATIONS = 1  # CREDIT tokens that permit a sample to be fired
    N_UPDATE = 2  # entries of the update pass table in use
    N_FIRE = 3  # words of the activation memory in use
    MODE = 4  # fields ``mode``
    END_LIST = 5  # fields ``token_list``: destinations of END
    CREDIT_LIST = 6  # fields ``token_list``: destinations of CREDIT
    INTEGRATION = 7  # fields ``integration``; only where integration is per time step
    COMMAND = 8  # fields ``command``; reads as zero
    SOPS_LOW = 16  # weights added for spikes, bits 0..31
    SOPS_HIGH = 17
    SPIKES_IN = 18  # spike packets accepted
    SPIKES_OUT = 19  # spike packets sent (one per spike and destination entry)
    FIRED = 20  # spikes fired (set bits of the activations)
    BUSY = 21  # cycles in which the dendrite took an operation
    STALLED = 22  # cycles in which a spike waited and the dendrite got no operation
    UPDATE_CYCLES = 23  # cycles of the soma's update passes
    FIRE_CYCLES = 24  # cycles in which axon-out was firing
    SAMPLES = 25  # samples updated
    HOPS = 26  # links that this node's router passed spike packets to (every branch counts)
    FLAGS = 27  # fields ``flags``


N_CONTROL = 32  # registers in the map, holes read as zero


@dataclass(frozen=True)
class Formats:
    """All bit fields of a chip with parameters ``params``."""

    params: ChipParams

    # Packets ------------------------------------------------------------------------------------
    @property
    def rectangle(self) -> BitFields:
        """Destination nodes ``x0..x1`` by ``y0..y1``, both ends included."""
        width = self.params.coord_width
        return BitFields("rectangle", (("x0", width), ("y0", width), ("x1", width), ("y1", width)))

    @property
    def spike(self) -> BitFields:
        """Payload of SPIKE: axon of the receiving cores, time step, source coordinates."""
        p = self.params
        return BitFields(
            "spike",
            (
                ("axon", p.axon_width),
                ("t", p.t_width),
                ("c", p.c_width),
                ("y", p.y_width),
                ("x", p.x_width),
            ),
        )

    @property
    def pointer(self) -> BitFields:
        """Payload of ADDRESS: memory, chunk of a word, word address."""
        return BitFields("pointer", (("memory", 4), ("chunk", 5), ("address", 16)))

    @property
    def payload_width(self) -> int:
        """Bits of a flit's payload."""
        return max(self.spike.width, self.pointer.width, CHUNK_WIDTH)

    @property
    def flit(self) -> BitFields:
        """The single flit of a packet; ``payload``: ``spike``, ``pointer`` or 32 bits of data."""
        return BitFields(
            "flit", (("kind", 3), *self.rectangle.widths, ("payload", self.payload_width))
        )

    # Memory words -------------------------------------------------------------------------------
    @property
    def axon(self) -> BitFields:
        """Axon descriptor: how spikes of one source population become a loop nest.

        ``c_base``, ``y_base``, ``x_base`` are added, modulo the table's size, to the spike's
        coordinates and give the table entries. The steps are added, modulo the address width, at
        every step of the loop nest in y or x. ``shift0`` is the left shift of time step 0,
        ``T-1+h``; where integration is per time step that of all steps, ``h``.
        ``is_signed``: time step 0 weighs negative. ``tail``: neurons in the last block of a loop
        nest, less one (for the SOP counter only).
        """
        p = self.params
        return BitFields(
            "axon",
            (
                ("c_base", p.table_c_width),
                ("y_base", p.table_y_width),
                ("x_base", p.table_x_width),
                ("y_acc_step", p.acc_address_width),
                ("x_acc_step", p.acc_address_width),
                ("y_weight_step", p.weight_address_width),
                ("x_weight_step", p.weight_address_width),
                ("shift0", p.shift_width),
                ("is_signed", 1),
                ("tail", p.lane_width),
            ),
        )

    def _table(self, name: str, count_width: int) -> BitFields:
        p = self.params
        return BitFields(
            name,
            (
                ("acc", p.acc_address_width),
                ("weight", p.weight_address_width),
                ("count", count_width),
            ),
        )

    @property
    def table_c(self) -> BitFields:
        """Channel table: start of the loop nest, and how many consecutive blocks (0: none)."""
        return self._table("table_c", bits_for(self.params.n_blocks + 1))

    @property
    def table_y(self) -> BitFields:
        """Row table: start of the loop nest, and how many output rows it visits (0: none)."""
        return self._table("table_y", bits_for(self.params.n_acc_words + 1))

    @property
    def table_x(self) -> BitFields:
        """Column table: start of the loop nest, and how many output columns it visits (0: none)."""
        return self._table("table_x", bits_for(self.params.n_acc_words + 1))

    @property
    def weight(self) -> BitFields:
        """Weight word: one two's complement weight a lane, lane 0 lowest."""
        return BitFields("weight", tuple((f"w{i}", WEIGHT_WIDTH) for i in range(self.params.lanes)))

    @property
    def update_pass(self) -> BitFields:
        """Update pass table: one accumulator word to finish.

        ``block`` selects the requantization constants. ``first`` starts a pooling window, ``last``
        ends it and writes the next activation word; ``clear`` zeroes the accumulator word.
        """
        p = self.params
        return BitFields(
            "update_pass",
            (
                ("acc", p.acc_address_width),
                ("block", p.block_width),
                ("first", 1),
                ("last", 1),
                ("clear", 1),
            ),
        )

    @property
    def requant_lane(self) -> BitFields:
        """Requantization constants of one channel: ``y = round((m z + (b << sb)) / 2**shift)``."""
        return BitFields(
            "requant_lane",
            (("bias", BIAS_WIDTH), ("multiplier", MULTIPLIER_WIDTH), ("shift", 6)),
        )

    @property
    def requant(self) -> BitFields:
        """Constants of ``soma_lanes`` channels, lowest channel lowest."""
        width = self.requant_lane.width
        return BitFields(
            "requant", tuple((f"lane{i}", width) for i in range(self.params.soma_lanes))
        )

    @property
    def lookup(self) -> BitFields:
        """Activation table: the value that replaces the index."""
        return BitFields("lookup", (("value", ACTIVATION_WIDTH),))

    @property
    def fire(self) -> BitFields:
        """Fire table: coordinates of an activation word, and its run of destination entries.

        The channel of lane ``i`` is ``block * lanes + i``.
        """
        p = self.params
        return BitFields(
            "fire",
            (
                ("block", p.c_width - p.lane_width),
                ("y", p.y_width),
                ("x", p.x_width),
                ("start", p.destination_width),
                ("count", bits_for(p.n_destinations + 1)),
            ),
        )

    @property
    def destination(self) -> BitFields:
        """Destination table: nodes, and the axon by which they know this population."""
        return BitFields("destination", (*self.rectangle.widths, ("axon", self.params.axon_width)))

    # Control registers --------------------------------------------------------------------------
    @property
    def mode(self) -> BitFields:
        """``bits``: n of the output (2 to 8), which is also its T. ``bias_shift``: sb in bytes.

        ``is_raw``: the output is a byte of P, :func:`stemcore.golden.arithmetic.fixed.digit`; needs
        8 unsigned bits and no lookup. ``gap``: cycles from one spike sent to the next, at least; 0
        and 1 are the same. Timing only: a source that fires no faster than its destinations work
        leaves them to its neighbours in turn.
        """
        return BitFields(
            "mode",
            (
                ("bits", 4),
                ("is_signed", 1),
                ("use_lookup", 1),
                ("bias_shift", BIAS_SHIFT_WIDTH),
                ("is_raw", 1),
                ("gap", GAP_WIDTH),
            ),
        )

    @property
    def integration(self) -> BitFields:
        """Constants of :mod:`step_integration`; ``steps``: T of the sources.

        ``multiplier`` and ``shift`` are k1 of the scaled form; ``shift`` is r of the late one.
        """
        return BitFields(
            "integration", (("steps", 4), ("multiplier", MULTIPLIER_WIDTH), ("shift", 5))
        )

    @property
    def n_registers(self) -> int:
        """Words of CONTROL that an image holds: the registers before COMMAND that there are."""
        return Control.INTEGRATION + self.params.is_stepped

    @property
    def token_list(self) -> BitFields:
        """A run of the destination table."""
        return BitFields(
            "token_list",
            (
                ("start", self.params.destination_width),
                ("count", bits_for(self.params.n_destinations + 1)),
            ),
        )

    @property
    def command(self) -> BitFields:
        """``start``: clear the accumulators, grant the first CREDITs and run."""
        return BitFields("command", (("start", 1), ("clear_counters", 1)))

    @property
    def flags(self) -> BitFields:
        """``overflow``: an addition left the accumulator's range (sticky until cleared)."""
        return BitFields("flags", (("overflow", 1), ("running", 1)))

    def memory(self, memory: Memory) -> tuple[BitFields | None, int]:
        """Word format and depth of a memory. CONTROL has plain 32-bit words (``None``)."""
        p = self.params
        return {
            Memory.CONTROL: (None, N_CONTROL),
            Memory.AXON: (self.axon, p.n_axons),
            Memory.TABLE_C: (self.table_c, p.n_table_c),
            Memory.TABLE_Y: (self.table_y, p.n_table_y),
            Memory.TABLE_X: (self.table_x, p.n_table_x),
            Memory.WEIGHT: (self.weight, p.n_weight_words),
            Memory.UPDATE: (self.update_pass, p.n_update),
            Memory.REQUANT: (self.requant, p.n_blocks * p.n_groups),
            Memory.LOOKUP: (self.lookup, 1 << ACTIVATION_WIDTH),
            Memory.FIRE: (self.fire, p.n_fire_words),
            Memory.DESTINATION: (self.destination, p.n_destinations),
        }[memory]

    def word_width(self, memory: Memory) -> int:
        """Bits of a word of ``memory``."""
        layout, _ = self.memory(memory)
        return CHUNK_WIDTH if layout is None else layout.width

    def n_chunks(self, memory: Memory) -> int:
        """32-bit chunks that a word of ``memory`` is written in; chunk 0 holds bits 0..31."""
        return -(-self.word_width(memory) // CHUNK_WIDTH)
