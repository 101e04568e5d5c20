# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import re
from collections import deque

import pytest

from stemcore.hdl.core.reserved_queue import ReservedQueue
from tests.support.streams import simulate


@pytest.mark.medium
@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("depth", [2, 4, 8])
def test_reserved_queue_keeps_order_and_counts_slots(depth, eager, rng):
    """Random traffic through a pipeline of two stages, of which every third item is dropped."""
    dut = ReservedQueue(shape=8, depth=depth)
    n_slots_seen = set()

    async def drive(ctx):
        pipeline, queue, pop = deque([None, None]), deque(), False
        for _ in range(1500):
            # A slot popped in the cycle before is not there yet.
            n_taken = sum(item is not None for item in pipeline) + len(queue) + pop
            n_slots_seen.add(n_taken)
            assert ctx.get(dut.room) == (n_taken < depth)
            assert ctx.get(dut.idle) == (n_taken == 0)
            assert ctx.get(dut.valid) == bool(queue)
            if queue:
                assert ctx.get(dut.o) == queue[0]

            reserve = n_taken < depth and (eager or rng.random() < 0.5)
            arrived = pipeline.popleft()
            cancel = arrived is not None and arrived % 3 == 0
            push = arrived is not None and not cancel
            pop = bool(queue) and (eager or rng.random() < 0.5)
            pipeline.append(int(rng.integers(0, 256)) if reserve else None)
            ctx.set(dut.reserve, reserve)
            ctx.set(dut.cancel, cancel)
            ctx.set(dut.push, push)
            ctx.set(dut.i, arrived if push else 0)
            ctx.set(dut.pop, pop)
            if pop:
                queue.popleft()
            if push:
                queue.append(arrived)
            await ctx.tick()

    simulate(dut, [drive], limit=2000)
    assert eager or n_slots_seen == set(range(depth + 1))


@pytest.mark.parametrize("depth", [0, 1, 6])
def test_reserved_queue_refuses_other_depths(depth):
    wanted = f"ReservedQueue: depth must be a power of two above 1, got {depth}"
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        ReservedQueue(shape=8, depth=depth)
