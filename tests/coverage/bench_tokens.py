# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of one node: tokens at any moment, a source that does not hold, a full queue."""

from dataclasses import replace

import cocotb
import numpy as np

from stemcore.golden.network.forward import run_network
from stemcore.golden.reference.event_engine import run_events
from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.widths import CHUNK_WIDTH
from stemcore.testing import seeded
from tests.support.chip_programs import one_core_program
from tests.support.cocotb_host import started_host
from tests.support.hand_programs import dense_program
from tests.support.random_networks import edge_images, random_images

LIMIT = 60_000  # cycles that a run may take
FORMATS = Formats(get_preset("tiny"))
MOST_HOLDS = 3  # at once, as of so many destinations
PACES = (0, 0, 1, 7, 15)  # of the host: transfers in one of so many cycles and one
CHUNK = (1 << CHUNK_WIDTH) - 1
SHIFT = 15  # of a weight; a few spikes leave 24 bits


def pace_flit(core, hold):
    """What a destination of ``core`` sends to have it hold its spikes, or go on."""
    names = [name for name, _ in FORMATS.spike.widths]
    payload = FORMATS.spike.pack(**(dict.fromkeys(names, 0) | {"t": int(hold)}))
    return FORMATS.flit.pack(
        kind=Kind.PACE, x0=core.x, y0=core.y, x1=core.x, y1=core.y, payload=payload
    )


async def trouble(dut, host, core, rng, longest, paces, is_slow):
    """Holds and goes, and changes of pace of the host, at random moments; each hold ends."""
    holds = 0
    try:
        while True:
            await host.domain.cycles(int(rng.integers(1, longest)))
            if not host.start_cycles:
                continue
            hold = holds == 0 or (holds < MOST_HOLDS and bool(rng.integers(2)))
            holds += 1 if hold else -1
            host.send(pace_flit(core, hold))
            dut.host_source.pauses.pace.value = int(rng.choice(paces))
            if not is_slow:
                dut.host_sink.pauses.pace.value = int(rng.choice(PACES))
    finally:
        for _ in range(holds):
            host.send(pace_flit(core, False))


@cocotb.test(timeout_time=8000, timeout_unit="us")
@cocotb.parametrize(n=range(24), holds=[False, True])
async def tokens_at_any_moment_change_nothing(dut, n, holds):
    """Destinations hold and release the core at random; its source may fill its queue."""
    rng = seeded("tokens", n, holds)
    network, program = one_core_program(rng)
    images = edge_images(rng, network) if n % 2 else random_images(rng, network, 4)
    (core,) = program.cores
    host = await started_host(dut, rng, program, images, "half/half")
    host.obeys_pace = holds
    longest, is_slow = (8, 60, 300)[n % 3], n % 4 == 3
    paces = (PACES[0], PACES[-1]) if n % 4 == 1 else PACES  # bursts, and END long after them
    if is_slow:  # what the core says to its source waits longer than an update pass takes
        dut.host_sink.pauses.pace.value = PACES[-1]
    task = cocotb.start_soon(trouble(dut, host, core, rng, longest, paces, is_slow))
    protocol = host.protocol
    await host.until(lambda: protocol.samples_done == len(images), "all images must come", LIMIT)
    task.cancel()
    for side in (dut.host_source, dut.host_sink):
        side.pauses.pace.value = 0
    await host.domain.cycles(2)
    await host.settle()
    host.check_spikes(run_network(network, images, acc_width=program.params.acc_width), "golden")
    await host.check_counters()
    host.stop()


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def sums_that_wrap_are_told(dut):
    """Weights shifted as far as they can be: potentials wrap as golden's do, and the flag stays."""
    rng = seeded("overflow")
    program, _ = dense_program(5)
    (core,) = program.cores
    formats = Formats(program.params)
    words = core.memories[Memory.AXON].copy()
    number = sum(int(chunk) << 32 * i for i, chunk in enumerate(words[0]))
    number = formats.axon.pack(**(formats.axon.unpack(number) | {"shift0": SHIFT}))
    words[0] = [number >> 32 * i & CHUNK for i in range(words.shape[1])]
    heaviest = np.full_like(core.memories[Memory.WEIGHT], 0x7F7F7F7F)
    changed = {Memory.AXON: words, Memory.WEIGHT: heaviest}
    wide = replace(core, memories={**core.memories, **changed})
    program = replace(program, cores=(wide,))
    image = np.full(program.input.shape, program.input.limits[1])
    host = await started_host(dut, rng, program, image[None], "free/free")
    await host.run(LIMIT)
    expected = run_events(program, image)
    assert expected.overflow == [True]
    host.check_spikes({name: v[None] for name, v in expected.values.items()}, "event")
    flags = formats.flags.unpack((await host.counters(wide))["flags"])
    assert flags == {"overflow": 1, "running": 1}
    host.stop()
