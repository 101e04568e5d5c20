# SPDX-License-Identifier: Apache-2.0
"""The blocks around ``soma``, random contents for it, and what it must make of them."""

import numpy as np

from stemcore.golden.arithmetic.fixed import requantize
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.widths import ACTIVATION_WIDTH, BIAS_WIDTH

POISON = -1234  # what the accumulators show while nothing is promised


def make_constants(rng, params):
    """Random REQUANT contents (blocks, lanes) and their words."""
    shape = (params.n_blocks, params.lanes)
    constants = {
        "bias": rng.integers(-(1 << 20), 1 << 20, shape),
        "multiplier": rng.integers(1, 1 << 16, shape),
        "shift": rng.integers(24, 36, shape) - (0 if params.multipliers else 12),
    }
    lane_format = Formats(params).requant_lane
    packed = lane_format.pack(
        bias=constants["bias"].astype(object) % (1 << BIAS_WIDTH),
        multiplier=constants["multiplier"].astype(object),
        shift=constants["shift"].astype(object),
    ).reshape(params.n_blocks * params.n_groups, params.soma_lanes)
    words = [
        sum(int(v) << (lane * lane_format.width) for lane, v in enumerate(row)) for row in packed
    ]
    return constants, words


class Accumulators:
    """Stands for the dendrite; shows a word only while the contract promises it."""

    def __init__(self, dut, words):
        self.dut = dut
        self.words = words
        self.n_reads = 0

    async def drive(self, ctx):
        dut, read, stored, shown = self.dut, None, None, None
        while True:
            for lane in range(self.words.shape[1]):
                value = POISON if shown is None else int(shown[lane])
                ctx.set(dut.accumulators.data[lane], value)
            port = dut.accumulators
            _, _, reads, address, clears, cleared = await ctx.tick().sample(
                port.read, port.address, port.clear, port.clear_address
            )
            # A word is on its way for two cycles, and shown from the next one on.
            shown, stored, read = shown if stored is None else stored, read, None
            if reads:
                read = self.words[address].copy()
                self.n_reads += 1
            if clears:
                self.words[cleared] = 0


async def begin(ctx, dut, accumulators):
    """What a core does before its first update pass; then the accumulators hold what they held."""
    words = accumulators.words.copy()
    ctx.set(dut.clear_all, 1)
    await ctx.tick()
    ctx.set(dut.clear_all, 0)
    await ctx.tick().until(~dut.busy)
    assert not accumulators.words.any()
    accumulators.words[:] = words


async def update_pass(ctx, dut):
    """One update pass of a sample's last period.

    Returns its activation words, a list of lanes for each, and the cycles of ``busy``.
    """
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)
    n_cycles, taken = 0, []
    while ctx.get(dut.busy):
        n_cycles += 1
        _, _, valid, address, word = await ctx.tick().sample(
            dut.words.valid, dut.words.address, dut.words.word
        )
        if valid:
            assert address == len(taken)
            taken.append([word[lane] for lane in range(len(dut.words.word))])
    assert not ctx.get(dut.words.valid)
    return taken, n_cycles


def reference(params, mode, entries, words, constants, table):
    """Activation words of an update pass, and the accumulators after it.

    As "Update pass" of hdl/README.md has it, line by line.
    """
    words, out, window = words.copy(), [], None
    for entry in entries:
        K = {name: values[entry["block"]] for name, values in constants.items()}
        multiplier = K["multiplier"] if params.multipliers else 1
        q = requantize(
            words[entry["acc"]],
            K["bias"],
            multiplier,
            K["shift"],
            mode["bias_shift"],
            mode["bits"],
            bool(mode["is_signed"]),
        )
        if mode["use_lookup"]:
            q = np.array(table)[q % (1 << mode["bits"])]
            if mode["is_signed"]:
                q = (q + 128) % 256 - 128
        window = q if entry["first"] else np.maximum(window, q)
        if entry["last"]:
            out.append(window % (1 << ACTIVATION_WIDTH))
        if entry["clear"]:
            words[entry["acc"]] = 0
    return np.array(out), words


def plain_entries(rng, params, n):
    """Every word a window of its own, cleared."""
    acc = rng.permutation(params.n_acc_words)[:n]
    return [
        {"acc": int(a), "block": int(b), "first": 1, "last": 1, "clear": 1}
        for a, b in zip(acc, rng.integers(0, params.n_blocks, n), strict=True)
    ]


def pooled_entries(rng, params, n_windows):
    """Windows of one to four words that overlap; a word is cleared where it is used last."""
    entries, position = [], 0
    for _ in range(n_windows):
        size, block = int(rng.integers(1, 5)), int(rng.integers(0, params.n_blocks))
        for i in range(size):
            entries.append(
                {
                    "acc": position + i,
                    "block": block,
                    "first": int(i == 0),
                    "last": int(i == size - 1),
                    "clear": 0,
                }
            )
        position += int(rng.integers(1, size + 1))
    last_use = {entry["acc"]: entry for entry in entries}
    for acc, entry in last_use.items():
        entry["clear"] = int(acc % 7 != 0)  # some words stay
    return entries


def random_words(rng, params):
    rail = 1 << (params.acc_width - 1)
    return rng.integers(-rail, rail, (params.n_acc_words, params.lanes))
