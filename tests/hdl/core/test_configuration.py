# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Value

from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.golden.spec.routing import HOST
from stemcore.hdl.core.configuration import BLOCKS, Configuration
from tests.support.streams import STALLS, Sink, Source, simulate

# Words of many chunks: weights of 4, constants of 4, axons of 2.
PARAMS = get_preset("sim32").with_(lanes=16, soma_lanes=2)
FORMATS = Formats(PARAMS)
BLOCK_OF = {memory: block for block, memories in BLOCKS.items() for memory in memories}
POISON = 0xDEADBEEF  # what a block shows while nothing is promised


def flit(kind, payload=0):
    return FORMATS.flit.pack(kind=int(kind), x0=1, y0=2, x1=3, y1=4, payload=payload)


def point(memory, address=0, chunk=0):
    payload = FORMATS.pointer.pack(memory=int(memory), chunk=chunk, address=address)
    return flit(Kind.ADDRESS, payload)


def answer(payload):
    x, y = HOST
    return FORMATS.flit.pack(kind=int(Kind.DATA), x0=x, y0=y, x1=x, y1=y, payload=payload)


class Blocks:
    """The memories behind the bus. A read is answered in the second cycle after it, no sooner.

    Attributes
    ----------
    writes : list of (cycle, memory, address, chunk, data)
    """

    def __init__(self, dut):
        self.dut = dut
        self.writes = []
        self.reads = []
        self.words = {}

    async def drive(self, ctx):
        bus, cycle, asked = self.dut.bus, 0, None
        for block in BLOCKS:
            ctx.set(getattr(self.dut, f"read_{block}"), POISON)
        while True:
            _, _, write, read, memory, address, chunk, data = await ctx.tick().sample(
                bus.write, bus.read, bus.memory, bus.address, bus.chunk, bus.data
            )
            assert not (write and read), "a bus access must be a write or a read"
            place = (Memory(memory) if write or read else None, address, chunk)
            if write:
                self.writes.append((cycle, *place, data))
                self.words[place] = data
            if asked is not None:
                ctx.set(getattr(self.dut, f"read_{BLOCK_OF[asked[0]]}"), self.words.get(asked, 0))
            asked = None
            if read:
                self.reads.append((cycle, *place))
                for block in BLOCKS:
                    ctx.set(getattr(self.dut, f"read_{block}"), POISON)
                asked = place
            cycle += 1


def step(memory, address, chunk):
    """Where the pointer goes after an access."""
    if chunk + 1 < FORMATS.n_chunks(memory):
        return memory, address, chunk + 1
    return memory, (address + 1) % (1 << 16), 0


def reference(words):
    """(writes, replies) of a sequence of flits, from the contract."""
    stored, writes, replies = {}, [], []
    place = None
    for word in words:
        fields = FORMATS.flit.unpack(word)
        kind, payload = fields["kind"], fields["payload"]
        if kind == Kind.ADDRESS:
            target = FORMATS.pointer.unpack(payload)
            place = Memory(target["memory"]), target["address"], target["chunk"]
            continue
        if kind == Kind.WRITE:
            stored[place] = payload
            writes.append((*place, payload))
        else:
            replies.append(answer(stored.get(place, 0)))
        place = step(*place)
    return writes, replies


def run(words, stall="free", rng=None, n_replies=None):
    """``(blocks, source, sink)`` after the flits ``words``."""
    dut = Configuration(params=PARAMS)
    n_replies = len(reference(words)[1]) if n_replies is None else n_replies
    blocks, source = Blocks(dut), Source(dut.i, words, stall, rng)
    sink = Sink(dut.reply, n_replies, stall, rng)
    simulate(dut, [source, sink], limit=100 + 30 * len(words), background=[blocks])
    return blocks, source, sink


@pytest.mark.parametrize("memory", list(Memory))
def test_pointer_loop_nests_over_chunks_and_words(memory, rng):
    n_chunks = FORMATS.n_chunks(memory)
    words = [point(memory, 5, int(rng.integers(n_chunks)))]
    words += [flit(Kind.WRITE, int(v)) for v in rng.integers(1 << 32, size=3 * n_chunks + 2)]
    words += [point(memory, 5), *[flit(Kind.READ)] * (3 * n_chunks)]
    blocks, source, sink = run(words)
    writes, replies = reference(words)
    assert [write[1:] for write in blocks.writes] == writes
    assert sink.items == replies
    # One WRITE a cycle; on the bus in the cycle after.
    accepted = source.cycles[1 : 1 + len(writes)]
    assert source.cycles[: 1 + len(writes)] == list(range(1 + len(writes)))
    assert [write[0] for write in blocks.writes] == [cycle + 1 for cycle in accepted]


@pytest.mark.parametrize("memory", [Memory.WEIGHT, Memory.FIRE])
def test_pointer_wraps_at_the_last_address(memory):
    n_chunks = FORMATS.n_chunks(memory)
    words = [point(memory, (1 << 16) - 1), *[flit(Kind.WRITE, n) for n in range(n_chunks + 1)]]
    blocks, _, _ = run(words)
    assert blocks.writes[-1][1:] == (memory, 0, 0, n_chunks)


@pytest.mark.parametrize("stall", STALLS)
def test_random_accesses_match_the_contract(stall, rng):
    words = [point(Memory.AXON, 3)]
    while len(words) < 250:
        memory = Memory(int(rng.integers(len(Memory))))
        choice = rng.integers(8)
        if choice == 0:
            chunk = int(rng.integers(FORMATS.n_chunks(memory)))
            words.append(point(memory, int(rng.integers(3)), chunk))
        elif choice < 6:
            words.append(flit(Kind.WRITE, int(rng.integers(1 << 32))))
        else:
            words.append(flit(Kind.READ))
    blocks, _, sink = run(words, stall, rng)
    writes, replies = reference(words)
    assert [write[1:] for write in blocks.writes] == writes
    assert sink.items == replies
    assert len(replies) > 20


def test_read_takes_five_cycles_and_holds_up_what_follows():
    words = [point(Memory.UPDATE, 1), flit(Kind.READ), flit(Kind.READ), flit(Kind.WRITE, 8)]
    blocks, source, sink = run(words)
    assert source.cycles == [0, 1, 6, 11]
    assert sink.cycles == [5, 10]
    assert [read[0] for read in blocks.reads] == [2, 7]


def test_write_is_read_back_at_once():
    words = []
    for value in (1, 0xFFFFFFFF, 0x80000000):
        words += [point(Memory.LOOKUP, 200), flit(Kind.WRITE, value)]
        words += [point(Memory.LOOKUP, 200), flit(Kind.READ)]
    _, _, sink = run(words)
    assert sink.items == [answer(1), answer(0xFFFFFFFF), answer(0x80000000)]


def test_answer_waits_for_its_sink_and_nothing_is_accepted_meanwhile():
    dut = Configuration(params=PARAMS)
    blocks = Blocks(dut)
    here = point(Memory.LOOKUP, 2)
    words = [here, flit(Kind.WRITE, 77), here, flit(Kind.READ), flit(Kind.WRITE, 5)]
    source = Source(dut.i, words)
    payload = Value.cast(dut.reply.payload)

    async def look(ctx):
        assert ctx.get(dut.idle)
        await ctx.tick().repeat(4)
        for _ in range(4):
            assert not ctx.get(dut.i.ready) and not ctx.get(dut.idle)
            await ctx.tick()
        for _ in range(30):
            assert ctx.get(dut.reply.valid) and ctx.get(payload) == answer(77)
            assert not ctx.get(dut.i.ready) and not ctx.get(dut.idle)
            await ctx.tick()
        ctx.set(dut.reply.ready, 1)
        await ctx.tick()
        assert not ctx.get(dut.reply.valid) and ctx.get(dut.i.ready)
        assert ctx.get(dut.idle)
        await ctx.tick()
        assert ctx.get(dut.bus.write) and not ctx.get(dut.idle)
        await ctx.tick()
        assert ctx.get(dut.idle)

    simulate(dut, [source, look], limit=100, background=[blocks])
    assert len(blocks.writes) == 2
    assert blocks.writes[-1][1:] == (Memory.LOOKUP, 3, 0, 5)


@pytest.mark.parametrize("preset", PRESETS)
def test_configuration_converts(preset):
    rtlil.convert(Configuration(params=get_preset(preset)), emit_src=False)
