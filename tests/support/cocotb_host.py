# SPDX-License-Identifier: Apache-2.0
"""The host and the observers of a chip or a lone node, for benches with ``host_source``,
``host_sink`` and ``fired[n]``."""

import os
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Event, ReadWrite
from numpy.typing import NDArray

from stemcore.golden.network.network import Population
from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.fields import Kind, Memory
from stemcore.golden.spec.registers import Control
from stemcore.runtime.engines.compare import compare_values, populations_of, sent_values
from stemcore.runtime.host.flits import Host
from stemcore.runtime.host.protocol import Protocol, Recorder, core_recorders
from stemcore.testing import ClockDomain, HdlStreamDriver, HdlStreamMonitor, set_pace

# Registers whose value follows from the program alone, by the names of
# stemcore.golden.reference.program_engine.COUNTERS.
COUNTED = {
    "spikes_in": Control.SPIKES_IN,
    "spikes_out": Control.SPIKES_OUT,
    "fired": Control.FIRED,
    "hops": Control.HOPS,
    "ops": Control.BUSY,
}


class CoreMonitor:
    """Watches one core fire: records values, holds it to the order of time steps.

    Attributes
    ----------
    n_spikes : int
        SPIKE flits sent.
    end_cycles : list[int]
        For each sample, the clock edge at which the last END was sent.
    """

    def __init__(
        self,
        domain: ClockDomain,
        observer: Any,
        name: str,
        recorder: Recorder,
        population: Population,
    ):
        self._domain = domain
        self._name, self._recorder, self._population = name, recorder, population
        self._t = 0
        self.n_spikes = 0
        self.end_cycles: list[int] = []
        self._monitor = HdlStreamMonitor(observer, self._see)
        self.stop = self._monitor.stop

    def _see(self, flit: int) -> None:
        formats = self._recorder.formats
        fields = formats.flit.unpack(flit)
        if fields["kind"] == Kind.SPIKE:
            self.n_spikes += 1
            spike = formats.spike.unpack(fields["payload"])
            place = (spike["c"], spike["y"], spike["x"])
            if not all(i < n for i, n in zip(place, self._population.shape, strict=True)):
                raise AssertionError(
                    f"{self._name}: neurons must lie within {self._population.shape}, fired {place}"
                )
            if not self._t <= spike["t"] < self._population.bits:
                raise AssertionError(
                    f"{self._name}: time steps must go from {self._t} up to "
                    f"{self._population.bits - 1}, fired neuron {place} at {spike['t']}"
                )
            self._t = spike["t"]
        if self._recorder.see(flit):
            self._t = 0
            self.end_cycles.append(self._domain.cycle)


class ChipHost:
    """Plays the host for ``program`` and records what every core fires.

    Parameters
    ----------
    dut : the bench, out of reset
    domain : its clock
    images : integers (N, C, H, W)

    Attributes
    ----------
    cores : dict of (x, y) to CoreMonitor
    start_cycles, end_cycles : list[int]
        For each sample, the clock edges at which its first flit was taken, and its last END came.
    obeys_pace : bool
        Whether the host holds its spikes when a core asks for it. Results are the same without.
    """

    def __init__(
        self, dut: Any, domain: ClockDomain, program: Program, images: NDArray[np.integer]
    ):
        self._dut, self.domain, self.program, self.images = dut, domain, program, images
        self.host = Host(program)
        self.protocol = Protocol(program, images)
        self.recorders = core_recorders(program, len(images))
        populations = {layer.population.name: layer.population for layer in program.layers}
        self.cores = {
            (core.x, core.y): CoreMonitor(
                domain,
                dut.fired[(core.y - 1) * program.columns + core.x].observer,
                f"node ({core.x}, {core.y}) {core.layer}",
                self.recorders[core.x, core.y],
                populations[core.layer],
            )
            for core in program.cores
        }
        self._news, self._received = Event(), Event()
        self.start_cycles: list[int] = []
        self.end_cycles: list[int] = []
        self._ends, self._in_sample = 0, False
        self.obeys_pace = True
        self._driver = HdlStreamDriver(dut.host_source)
        self._monitor = HdlStreamMonitor(dut.host_sink.observer, self._receive)
        self._task = cocotb.start_soon(self._drive())

    def _receive(self, flit: int) -> None:
        kind = self.host.formats.flit.unpack(flit)["kind"]
        if kind == Kind.PACE and not self.obeys_pace:
            return
        done = self.protocol.samples_done
        self.protocol.receive(flit)
        if self.protocol.samples_done > done:
            self.end_cycles.append(self.domain.cycle)
        self._news.set()
        self._received.set()

    async def _drive(self) -> None:
        while True:
            # What comes out in the cycle in which a flit is taken bears upon the next one.
            await ReadWrite()
            flit = self.protocol.offer()
            if flit is None:
                self._news.clear()
                await self._news.wait()
                continue
            await self._driver.send(flit)
            self._follow(flit)
            self.protocol.taken()

    def _follow(self, flit: int) -> None:
        """Notes the start of a sample; as many ENDs as the program says close it."""
        kind = self.host.formats.flit.unpack(flit)["kind"]
        if kind in (Kind.SPIKE, Kind.END):
            if not self._in_sample:
                self.start_cycles.append(self.domain.cycle)
            self._in_sample = True
            self._ends += kind == Kind.END
            if self._ends == len(self.program.input_end):
                self._ends, self._in_sample = 0, False

    def send(self, flit: int) -> None:
        """A flit more, as soon as the one that is offered has been taken."""
        self.protocol.send([flit])
        self._news.set()

    async def until(self, condition: Any, what: str, limit: int) -> None:
        """Waits until ``condition()`` holds, looking whenever a flit has come out."""

        async def wait() -> None:
            while not condition():
                self._received.clear()
                await self._received.wait()

        try:
            await self.domain.within(wait(), limit)
        except TimeoutError as error:
            raise AssertionError(
                f"{self.program.name}: {what} within {limit} cycles; {self._state()}"
            ) from error

    def _state(self) -> str:
        fired = ", ".join(
            f"({x}, {y}) has fired {recorder.sample} samples"
            for (x, y), recorder in self.recorders.items()
        )
        return f"the host has {self.protocol.samples_done}, node {fired}"

    async def run(self, limit: int) -> None:
        """Until all images are through and the chip is quiet."""
        protocol, n = self.protocol, len(self.images)
        await self.until(lambda: protocol.samples_done == n, f"{n} images must come out", limit)
        await self.settle()

    async def settle(self, limit: int = 2000) -> None:
        """Waits for quiet."""
        for _ in range(limit // 20):
            await self.domain.cycles(20)
            if self._dut.quiet.value == 1:
                return
        raise AssertionError(
            f"{self.program.name}: the chip must come to rest; it did not in {limit} cycles"
        )

    def stop(self) -> None:
        """Ends all tasks; raises if a stream broke its rules."""
        self._task.cancel()
        self._monitor.stop()
        for core in self.cores.values():
            core.stop()

    # Reading back -------------------------------------------------------------------------------
    async def read(
        self, core: CoreImage, memory: Memory, address: int = 0, n_chunks: int = 1
    ) -> list[int]:
        """Chunks of a memory, over the mesh."""
        replies = self.protocol.replies
        first = len(replies)
        for number, request in enumerate(self.host.read(core, memory, address, n_chunks), 1):
            self.protocol.send(request.tolist())
            self._news.set()
            await self.until(
                lambda end=first + number: len(replies) == end,
                f"a READ of {memory.name} must be answered",
                2000,
            )
        return replies[first:]

    async def read_memories(self, core: CoreImage) -> dict[Memory, NDArray[np.uint32]]:
        """All words that the program writes into ``core``, which is stopped, or it would refuse."""
        self.protocol.send(self.host.stop((core.x, core.y, core.x, core.y)).tolist())
        return {
            memory: np.array(await self.read(core, memory, 0, words.size), np.uint32).reshape(
                words.shape
            )
            for memory, words in core.memories.items()
            if words.size
        }

    async def counters(self, core: CoreImage) -> dict[str, int]:
        """``sops`` and the registers from SPIKES_IN on, by lower-case name."""
        first = int(Control.SOPS_LOW)
        words = await self.read(core, Memory.CONTROL, first, Control.FLAGS - first + 1)
        named = {Control(first + i).name.lower(): word for i, word in enumerate(words)}
        named["sops"] = named.pop("sops_low") | named.pop("sops_high") << 32
        return named

    # Verdicts -----------------------------------------------------------------------------------
    def check_spikes(self, expected: dict[str, NDArray[np.int64]], name: str) -> None:
        """Every spike train fired, and the outputs, against ``expected`` of the engine ``name``."""
        program = self.program
        expected = sent_values(program, expected)
        layers = {core.layer: self.recorders[core.x, core.y].values for core in program.cores}
        compare_values(populations_of(program), expected, layers, names=(name, "RTL"))
        outputs = {**layers, program.output: self.protocol.output.values}
        compare_values(populations_of(program), expected, outputs, names=(name, "host"))

    async def check_counters(self) -> None:
        """Every core's counters against the program engine's."""
        totals = run_program(self.program, self.images).totals()
        for number, core in enumerate(self.program.cores):
            got = await self.counters(core)
            flags = self.host.formats.flags.unpack(got["flags"])
            got["ops"] = got["busy"]
            wanted = {name: int(totals[name][number]) for name in (*COUNTED, "sops")}
            wanted["samples"] = len(self.images)
            have = {name: got[name] for name in wanted}
            where = f"node ({core.x}, {core.y}) {core.layer}"
            assert have == wanted, f"{where}: counters must be {wanted}, got {have}"
            assert flags == {"overflow": 0, "running": 1}, f"{where}: flags {flags}"
            assert self.cores[core.x, core.y].n_spikes == wanted["spikes_out"], where


async def started_host(
    dut: Any,
    rng: np.random.Generator,
    program: Program,
    images: NDArray[np.integer],
    stalls: str,
) -> ChipHost:
    """Resets ``dut``; the host then begins, with ``stalls`` as paces in and out: "free/half"."""
    cocotb.log.info("%s: SEED=%s, stalls %s", program.name, os.environ.get("SEED", "0"), stalls)
    source_stall, sink_stall = stalls.split("/")
    set_pace(dut.host_source.pauses, source_stall, rng)
    set_pace(dut.host_sink.pauses, sink_stall, rng)
    dut.host_source.offered.value = 0
    domain = ClockDomain(dut.clk, reset=dut.rst)
    await domain.reset()
    return ChipHost(dut, domain, program, images)
