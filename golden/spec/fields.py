# SPDX-License-Identifier: Apache-2.0
"""Bit fields of packets and memory words, each written once.

The gateware makes its layouts from these objects, the compiler packs with them, the models unpack
with them. Standard library only.
"""

from dataclasses import dataclass
from enum import IntEnum

from .bit_fields import BitFields
from .errors import ERROR_COUNT_WIDTH, TOKEN_COUNT_WIDTH, Error
from .params import ChipParams
from .registers import N_CONTROL, Control
from .spike_range import CLOSED_WIDTH, MARGINS, limit_of
from .widths import (
    ACTIVATION_WIDTH,
    BIAS_SHIFT_WIDTH,
    BIAS_WIDTH,
    BITS_WIDTH,
    CHUNK_WIDTH,
    GAP_WIDTH,
    MULTIPLIER_WIDTH,
    WEIGHT_WIDTH,
    bits_for,
)


class Kind(IntEnum):
    """What a flit carries."""

    SPIKE = 0
    END = 1  # a source has sent the last spike of its sample (or time step)
    CREDIT = 2  # a destination is ready for the next sample (or time step)
    PACE = 3  # a destination asks its sources to hold their spikes (payload t = 1) or to go on (0)
    ADDRESS = 4  # sets the configuration pointer
    WRITE = 5  # writes a chunk at the pointer, which moves on
    READ = 6  # asks for the chunk at the pointer, which moves on; to the host: see ``ALERT``
    DATA = 7  # the answer, to the host


# The same of all presets: ``Formats.command`` says what each does.
COMMAND = BitFields(
    "command", (("start", 1), ("clear_counters", 1), ("stop", 1), ("clear_errors", 1))
)
ALERT = Kind.READ  # towards the host: a core has seen its first error; the payload is ``errors``


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
        every step of the loop nest in y or x. ``shift0`` is the left shift of a weight in time
        step 0 (:meth:`~stemcore.golden.spec.neuron_model.NeuronModel.first_shift`).
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
                ("bits", BITS_WIDTH),
                ("is_signed", 1),
                ("use_lookup", 1),
                ("bias_shift", BIAS_SHIFT_WIDTH),
                ("is_raw", 1),
                ("gap", GAP_WIDTH),
            ),
        )

    @property
    def integration(self) -> BitFields:
        """Constants of the neuron model; empty where it has none."""
        return BitFields("integration", self.params.model.register)

    @property
    def n_registers(self) -> int:
        """Words of CONTROL that an image holds: the registers before COMMAND that there are."""
        return Control.INTEGRATION + (1 if self.params.model.register else 0)

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
        """What COMMAND does, each with a bit of its own.

        ``start``: clear the accumulators, grant the first CREDITs and run. ``clear_counters``: all
        counters, and the overflow flag. ``stop``: back to the state after configuration, from any
        other; memories, registers, counters and errors stay. ``clear_errors``: ERRORS and its flit.
        """
        return COMMAND

    @property
    def flags(self) -> BitFields:
        """``overflow``: an addition left the accumulator's range (sticky until cleared)."""
        return BitFields("flags", (("overflow", 1), ("running", 1)))

    @property
    def errors(self) -> BitFields:
        """What was wrong since errors were cleared: a bit a cause, which stays.

        ``count``: errors seen; those of one cycle count once, and 255 stands for any more. ``x``,
        ``y``: this node.
        """
        width = self.params.coord_width
        causes = tuple((error.name.lower(), 1) for error in Error)
        return BitFields(
            "errors", (*causes, ("count", ERROR_COUNT_WIDTH), ("x", width), ("y", width))
        )

    @property
    def status(self) -> BitFields:
        """What a core waits for.

        ``ends``, ``credits``: tokens that are there, of N_SOURCES and N_DESTINATIONS. ``begun``:
        something of the period has arrived. ``unfired``: a sample, or time steps of it, waits for
        CREDIT. ``firing``, ``granting``: spikes, or CREDITs, are being sent. ``held``: a
        destination has asked to hold them.
        """
        return BitFields(
            "status",
            (
                ("ends", TOKEN_COUNT_WIDTH),
                ("credits", TOKEN_COUNT_WIDTH),
                ("begun", 1),
                ("unfired", 1),
                ("firing", 1),
                ("granting", 1),
                ("held", 1),
            ),
        )

    @property
    def range(self) -> BitFields:
        """Which spikes an axon may get, as margins of :mod:`stemcore.golden.spec.spike_range`."""
        widths = {name: limit_of(self.params, name).width for name in MARGINS}
        widths["t"] = CLOSED_WIDTH
        return BitFields("range", tuple(widths.items()))

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
