# SPDX-License-Identifier: Apache-2.0
"""One core, decoded from its memory image alone: what its words say, and the soma's arithmetic.

Nothing here knows the network; ``stemcore.golden.reference.axon_plan`` reads the connectivity out
of the axon descriptors and tables.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.fixed import Int64Array, digit, requantize, wrap
from ..program.program import CoreImage
from ..program.words import unpack_words
from ..spec.fields import Formats, Memory
from ..spec.integers import limits
from ..spec.params import ChipParams
from ..spec.registers import Control
from ..spec.widths import ACTIVATION_WIDTH, BIAS_WIDTH, WEIGHT_WIDTH


@dataclass(frozen=True)
class Table:
    """A coordinate table: start of the loop nest, and how many steps it "
    "takes (arrays, words in use)."""

    name: str
    acc: Int64Array
    weight: Int64Array
    count: Int64Array


@dataclass(frozen=True)
class Axon:
    """An axon descriptor, fields as in :attr:`stemcore.golden.spec.fields.Formats.axon`."""

    c_base: int
    y_base: int
    x_base: int
    y_acc_step: int
    x_acc_step: int
    y_weight_step: int
    x_weight_step: int
    shift0: int
    is_signed: int
    tail: int


class Core:
    """The decoded contents of one core, checked for what can be checked without its neighbours.

    Attributes
    ----------
    n_sources, n_destinations, bits, is_signed, is_raw, bias_shift
        Registers.
    neuron, n_periods : Neuron, int
        Constants of the neuron model, and the token periods of a sample.
    end_list, credit_list : range
        Addresses in the destination table.
    axons : list of Axon
    weights : int8 (words, lanes)
    fire_c, fire_y, fire_x : int64 (words,)
        Coordinates of an activation word: channel of lane 0, row, column.
    fire_start, fire_count : int64 (words,)
        Run of destination entries.
    destinations : list of ((x0, y0, x1, y1), axon)
    """

    def __init__(self, image: CoreImage, params: ChipParams):
        self.image = image
        self.params = params
        self.where = f"core ({image.x}, {image.y}) of {image.layer}"
        self._formats = Formats(params)
        self._read_control()
        self._read_tables()
        self._read_update()
        self._read_fire()

    def fail(self, message: str) -> ValueError:
        """An error that says which core it is about."""
        return ValueError(f"{self.where}: {message}")

    # Decoding -----------------------------------------------------------------------------------
    def _words(self, memory: Memory) -> dict[str, Int64Array]:
        layout, depth = self._formats.memory(memory)
        assert layout is not None
        n_chunks = self._formats.n_chunks(memory)
        chunks = self.image.memories.get(memory, np.zeros((0, n_chunks), np.uint32))
        if len(chunks) > depth:
            raise self.fail(f"{memory.name} holds {depth} words, the image has {len(chunks)}")
        return unpack_words(layout, chunks)

    def _read_control(self) -> None:
        control = self.image.memories[Memory.CONTROL]
        n_registers = self._formats.n_registers
        if control.shape != (n_registers, 1):
            raise self.fail(f"CONTROL must have shape ({n_registers}, 1), got {control.shape}")
        register = [int(word) for word in control[:, 0]]
        self.n_sources = register[Control.N_SOURCES]
        self.n_destinations = register[Control.N_DESTINATIONS]
        self.n_update = register[Control.N_UPDATE]
        self.n_fire = register[Control.N_FIRE]
        mode = self._formats.mode.unpack(register[Control.MODE])
        self.bits, self.is_signed = mode["bits"], bool(mode["is_signed"])
        self.use_lookup, self.bias_shift = bool(mode["use_lookup"]), mode["bias_shift"]
        self.is_raw = bool(mode["is_raw"])
        if not 2 <= self.bits <= ACTIVATION_WIDTH:
            raise self.fail(f"MODE.bits must lie in 2..{ACTIVATION_WIDTH}, got {self.bits}")
        if self.is_raw and (self.bits < ACTIVATION_WIDTH or self.is_signed or self.use_lookup):
            raise self.fail(
                f"MODE.is_raw needs {ACTIVATION_WIDTH} unsigned bits and no lookup, got "
                f"{self.bits} bits, is_signed {self.is_signed}, use_lookup {self.use_lookup}"
            )
        end = self._formats.token_list.unpack(register[Control.END_LIST])
        credit = self._formats.token_list.unpack(register[Control.CREDIT_LIST])
        self.end_list = range(end["start"], end["start"] + end["count"])
        self.credit_list = range(credit["start"], credit["start"] + credit["count"])
        self._read_neuron(register[Control.INTEGRATION] if self.params.model.register else 0)

    def _read_neuron(self, register: int) -> None:
        model = self.params.model
        fields = self._formats.integration.unpack(register)
        self.n_periods = model.n_periods(fields)
        if "steps" in fields and not 2 <= fields["steps"] <= ACTIVATION_WIDTH:
            raise self.fail(
                f"INTEGRATION.steps must lie in 2..{ACTIVATION_WIDTH}, got {fields['steps']}"
            )
        try:
            self.neuron = model.neuron.from_fields(fields, multipliers=self.params.multipliers)
        except ValueError as error:
            raise self.fail(f"INTEGRATION: {error}") from None

    def _read_tables(self) -> None:
        axons = self._words(Memory.AXON)
        n_axons = len(axons["tail"])
        self.axons = [
            Axon(**{field: int(values[a]) for field, values in axons.items()})
            for a in range(n_axons)
        ]
        self.tables = {
            memory: Table(memory.name, **self._words(memory))
            for memory in (Memory.TABLE_C, Memory.TABLE_Y, Memory.TABLE_X)
        }
        weight = self._words(Memory.WEIGHT)
        columns = [weight[f"w{i}"] for i in range(self.params.lanes)]
        self.weights = wrap(np.stack(columns, axis=1), WEIGHT_WIDTH).astype(np.int8)

    def _read_update(self) -> None:
        update_pass = self._words(Memory.UPDATE)
        if self.n_update == 0:
            raise self.fail(
                "N_UPDATE must be 1 or more, got 0: a core without neurons fires no END"
            )
        if len(update_pass["acc"]) < self.n_update:
            raise self.fail(
                f"N_UPDATE is {self.n_update}, UPDATE has {len(update_pass['acc'])} words in use"
            )
        update_pass = {field: values[: self.n_update] for field, values in update_pass.items()}
        self.update_acc, self.update_block = update_pass["acc"], update_pass["block"]
        first, last = update_pass["first"].astype(bool), update_pass["last"].astype(bool)
        if self.n_update and not (first[0] and first[1:][last[:-1]].all()):
            raise self.fail("UPDATE: every window must begin with first and end with last")
        self.window_starts = np.flatnonzero(first)
        # A window that no entry ends only clears its words.
        self.is_written = last[np.append(self.window_starts[1:], self.n_update) - 1]
        n_written = int(self.is_written.sum())
        if n_written != self.n_fire:
            raise self.fail(f"N_FIRE must be the {n_written} windows of UPDATE, got {self.n_fire}")
        self._check_clearing(update_pass["clear"].astype(bool))
        requant = self._words(Memory.REQUANT)
        parts = [
            self._formats.requant_lane.unpack(requant[f"lane{i}"])
            for i in range(self.params.soma_lanes)
        ]
        n_words = len(requant["lane0"])
        n_blocks = n_words // self.params.n_groups
        if n_words % self.params.n_groups:
            raise self.fail(
                f"REQUANT must hold {self.params.n_groups} words a block, got {n_words} words"
            )
        if self.n_update and self.update_block.max() >= n_blocks:
            raise self.fail(
                f"UPDATE.block must lie in the {n_blocks} blocks of REQUANT, "
                f"got {self.update_block.max()}"
            )

        def lanes(field: str) -> Int64Array:
            stacked = np.stack([part[field] for part in parts], axis=1)
            return stacked.reshape(n_blocks, self.params.lanes)

        self.bias = wrap(lanes("bias"), BIAS_WIDTH)
        self.shift = lanes("shift")
        multiplier = lanes("multiplier")
        self.multiplier = multiplier if self.params.multipliers else np.ones_like(multiplier)
        self._read_lookup()

    def _check_clearing(self, clear: NDArray[np.bool_]) -> None:
        """Every updated word is cleared by its last reading and not before."""
        if self.n_update and self.update_acc.max() >= self.params.n_acc_words:
            raise self.fail(
                f"UPDATE.acc must be below {self.params.n_acc_words}, got {self.update_acc.max()}"
            )
        is_last = np.zeros(self.n_update, bool)
        last_reading = {int(word): e for e, word in enumerate(self.update_acc)}
        is_last[list(last_reading.values())] = True
        wrong = np.flatnonzero(clear != is_last)
        if wrong.size:
            e = int(wrong[0])
            what = "cleared before its last reading" if clear[e] else "left uncleared"
            raise self.fail(f"UPDATE entry {e}: accumulator word {self.update_acc[e]} is {what}")
        self.is_updated = np.zeros(self.params.n_acc_words, bool)
        self.is_updated[self.update_acc] = True

    def _read_lookup(self) -> None:
        self.lookup: Int64Array | None = None
        if not self.use_lookup:
            return
        entries = self._words(Memory.LOOKUP)["value"][: 1 << self.bits]
        if self.is_signed:
            entries = wrap(entries, ACTIVATION_WIDTH)
        low, high = limits(self.bits, self.is_signed)
        if len(entries) < 1 << self.bits:
            raise self.fail(f"LOOKUP must hold {1 << self.bits} words, got {len(entries)}")
        if entries.min() < low or entries.max() > high:
            raise self.fail(
                f"LOOKUP entries must lie in {low}..{high} for {self.bits} bits, "
                f"got {entries.min()}..{entries.max()}"
            )
        self.lookup = entries

    def _read_fire(self) -> None:
        fire = self._words(Memory.FIRE)
        if len(fire["block"]) < self.n_fire:
            raise self.fail(f"N_FIRE is {self.n_fire}, FIRE has {len(fire['block'])} words in use")
        fire = {field: values[: self.n_fire] for field, values in fire.items()}
        self.fire_c = fire["block"] * self.params.lanes
        self.fire_y, self.fire_x = fire["y"], fire["x"]
        self.fire_start, self.fire_count = fire["start"], fire["count"]
        table = self._words(Memory.DESTINATION)
        rows = zip(*(table[f].tolist() for f in ("x0", "y0", "x1", "y1", "axon")), strict=True)
        self.destinations = [((x0, y0, x1, y1), axon) for x0, y0, x1, y1, axon in rows]
        end = max(
            int((self.fire_start + self.fire_count).max(initial=0)),
            self.end_list.stop if self.end_list else 0,
            self.credit_list.stop if self.credit_list else 0,
        )
        if end > len(self.destinations):
            raise self.fail(
                f"lists reach up to entry {end - 1} of DESTINATION, "
                f"which has {len(self.destinations)} words in use"
            )

    # Execution ----------------------------------------------------------------------------------
    def finish(self, z: Int64Array) -> Int64Array:
        """The soma's update pass.

        Potentials (N, n_acc_words, lanes) to activations (N, n_fire, lanes).

        Per entry :func:`stemcore.golden.arithmetic.fixed.requantize` (or
        :func:`stemcore.golden.arithmetic.fixed.digit` in raw mode), the lookup, and the maximum
        over the window.
        """
        if not self.n_fire:
            return np.zeros((len(z), 0, self.params.lanes), np.int64)
        block = self.update_block
        terms = (
            z[:, self.update_acc],
            self.bias[block],
            self.multiplier[block],
            self.shift[block],
            self.bias_shift,
        )
        q = digit(*terms) if self.is_raw else requantize(*terms, self.bits, self.is_signed)
        if self.lookup is not None:
            q = self.lookup[q & ((1 << self.bits) - 1)]
        return np.maximum.reduceat(q, self.window_starts, axis=1)[:, self.is_written]
