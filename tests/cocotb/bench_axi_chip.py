# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of a chip behind AXI: a saved program is configured and runs images.

Folder of the program, and beside it ``images.npy``: ``AXI_PROGRAM``.
"""

import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, Event, with_timeout

from stemcore.golden.program.program_file import load_program
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.host_registers import (
    FIRST_PARAM,
    HOST_REGISTERS,
    codec_of_word,
    params_of_words,
)
from stemcore.golden.spec.registers import Control
from stemcore.runtime.host.codec_protocol import CodecProtocol
from stemcore.runtime.host.codec_tables import codec_tables
from stemcore.runtime.host.flits import Host
from stemcore.runtime.host.protocol import Protocol
from stemcore.testing import check_equal, seeded
from tests.support.axi_bus import OKAY, AxiRig
from tests.support.cocotb_host import COUNTED

BURST = 16  # flits between two looks at what has come out: PACE, CREDIT
LIMIT_US = 40_000


class Player:
    """Plays the host's part of a program over the streams."""

    def __init__(self, rig, protocol):
        self.rig, self.protocol = rig, protocol
        self.news = Event()
        self.tasks = [cocotb.start_soon(self._receive()), cocotb.start_soon(self._send())]

    async def _receive(self):
        while True:
            frame = await self.rig.sink.recv(compact=False)
            data = bytes(frame.tdata)
            for n in range(0, len(data), 8):
                self.protocol.receive(int.from_bytes(data[n : n + 8], "little"))
            self.news.set()

    async def _send(self):
        while True:
            burst = []
            while len(burst) < BURST and (flit := self.protocol.offer()) is not None:
                burst.append(flit)
                self.protocol.taken()
            if burst:
                await self.rig.send(burst)
                await self.rig.source.wait()
            else:
                self.news.clear()
                await self.news.wait()

    async def until(self, condition):
        """Looks whenever something has come out."""

        async def wait():
            while not condition():
                self.news.clear()
                await self.news.wait()

        await with_timeout(wait(), LIMIT_US, "us")

    async def ask(self, requests):
        """Answers to READs, one after the other."""
        replies = self.protocol.replies
        first = len(replies)
        for number, request in enumerate(requests, 1):
            self.protocol.send(request.tolist())
            self.news.set()
            await self.until(lambda end=first + number: len(replies) == end)
        return replies[first:]


@cocotb.test(timeout_time=4 * LIMIT_US, timeout_unit="us")
@cocotb.parametrize(stalls=os.environ.get("AXI_STALLS", "free/free").split(","))
async def images_pass_through_the_chip(dut, stalls):
    folder = Path(os.environ["AXI_PROGRAM"])
    program, images = load_program(folder), np.load(folder / "images.npy")
    host, golden = Host(program), run_program(program, images)
    into, out = stalls.split("/")
    rng = seeded("axi chip", program.name, stalls)
    rig = AxiRig(dut, rng, stalls=("free",) * 5 + (into, out))
    await rig.reset()
    words = [await rig.get(name) for name, r in HOST_REGISTERS.items() if r.number >= FIRST_PARAM]
    assert params_of_words(words) == program.params
    ends = program.output_ends * program.tokens_per_sample(program.output_populations[0])
    n_input = len(program.input_end) * program.tokens_per_sample(program.input)
    assert await rig.put_fields("SAMPLE_ENDS", input=n_input, output=ends) == OKAY
    assert await rig.put("WATCHDOG", 14) == OKAY
    assert await rig.put_fields("INTERRUPT_ENABLE", sample=1, error=1) == OKAY

    player = Player(rig, await protocol_of(rig, program, images))
    await player.until(lambda: player.protocol.samples_done == len(images))
    check_equal("outputs", golden.outputs, player.protocol.values)
    assert not player.protocol.alerts
    assert dut.interrupt.value == 1
    assert await rig.get("SAMPLES_IN") == await rig.get("SAMPLES_OUT") == len(images)
    assert await rig.get("ERRORS") == 0
    await check_counters(player, program, host, golden)

    # STOP by register: cores are as after configuration, and their memories can be read.
    assert await rig.put_fields("COMMAND", stop=1) == OKAY
    await ClockCycles(dut.aclk, 200)
    assert (await rig.fields("STATUS"))["quiet"] == 1
    for core in program.cores:
        words = core.memories[Memory.WEIGHT].ravel()[:8]
        answers = await player.ask(host.read(core, Memory.WEIGHT, 0, len(words)))
        check_equal("weights", words, answers)
    assert await rig.get("ERRORS") == 0
    for task in player.tasks:
        task.cancel()


async def protocol_of(rig, program, images):
    """What plays the host: beside a codec, which is told first, with bytes."""
    codec = codec_of_word(await rig.get("CODEC_SIZES"))
    if codec is None:
        return Protocol(program, images)
    host, tables = Host(program), codec_tables(program, codec)
    for flits in [tables.configuration(host), *map(host.configuration, program.cores)]:
        await rig.send(flits.tolist())
        await rig.source.wait()
    await ClockCycles(rig.dut.aclk, 100)
    assert await rig.put_fields("CODEC", work=1) == OKAY
    return CodecProtocol(program, images, tables)


async def check_counters(player, program, host, golden):
    """What every core has counted: spikes of every layer, not of the output alone."""
    totals = golden.totals()
    for number, core in enumerate(program.cores):
        got = {}
        for name, register in COUNTED.items():
            (got[name],) = await player.ask(host.read(core, Memory.CONTROL, register))
        (flags,) = await player.ask(host.read(core, Memory.CONTROL, Control.FLAGS))
        wanted = {name: int(totals[name][number]) for name in COUNTED}
        assert got == wanted, f"node ({core.x}, {core.y}) {core.layer}"
        assert host.formats.flags.unpack(flags) == {"overflow": 0, "running": 1}
