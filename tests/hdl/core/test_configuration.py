# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Value

from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import ALERT, Formats, Kind, Memory
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.golden.spec.registers import N_WRITABLE, RANGES, Control
from stemcore.golden.spec.routing import HOST
from stemcore.hdl.core.configuration import BLOCKS, Configuration
from tests.support.streams import BY_STALL, Sink, Source, simulate

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
    """The memories behind the bus. A read is answered in the third cycle after it, no sooner.

    Attributes
    ----------
    writes : list of (cycle, memory, address, chunk, data)
    errors : list of Error
        What was refused.
    """

    def __init__(self, dut):
        self.dut = dut
        self.writes = []
        self.reads = []
        self.errors = []
        self.words = {}

    async def drive(self, ctx):
        bus, cycle, asked, before = self.dut.bus, 0, None, None
        announced = 0, 0, 0, 0
        for block in BLOCKS:
            ctx.set(getattr(self.dut, f"read_{block}"), POISON)
        while True:
            # Address and data come in the cycle after what is to be done with them.
            write, read, memory, chunk = announced
            _, _, *announced, address, data, causes = await ctx.tick().sample(
                bus.write, bus.read, bus.memory, bus.chunk, bus.address, bus.data, self.dut.causes
            )
            self.errors += [error for error in Error if causes >> error & 1]
            assert not (write and read), "a bus access must be a write or a read"
            place = (Memory(memory) if write or read else None, address, chunk)
            if write:
                self.writes.append((cycle, *place, data))
                self.words[place] = data
            if before is not None:
                ctx.set(getattr(self.dut, f"read_{BLOCK_OF[before[0]]}"), self.words.get(before, 0))
            asked, before = None, asked
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


def is_beyond(place):
    memory, address, chunk = place
    return address >= FORMATS.memory(memory)[1] or chunk >= FORMATS.n_chunks(memory)


def refuses(kind, place, payload, at_work):
    """The error that an access is, if it is one, from the contract."""
    memory, address, _ = place
    is_control = memory == Memory.CONTROL
    if kind == Kind.READ:
        return Error.READ if is_beyond(place) or (at_work and not is_control) else None
    is_command = is_control and address == Control.COMMAND
    is_range = is_control and 0 <= address - RANGES < PARAMS.n_axons
    if is_range and not at_work:
        return None
    if is_beyond(place) or (is_control and address >= N_WRITABLE):
        return Error.WRITE
    if at_work and not is_command:
        return Error.WRITE
    if is_command and (payload >> FORMATS.command.width or (payload & 1 and at_work)):
        return Error.COMMAND
    return None


def reference(words, at_work=False):
    """(writes, replies, errors) of a sequence of flits, from the contract."""
    stored, writes, replies, errors = {}, [], [], []
    place = None
    for word in words:
        fields = FORMATS.flit.unpack(word)
        kind, payload = fields["kind"], fields["payload"]
        if kind == Kind.ADDRESS:
            target = FORMATS.pointer.unpack(payload)
            place = Memory(target["memory"]), target["address"], target["chunk"]
            continue
        error = refuses(kind, place, payload, at_work)
        if error is not None:
            errors.append(error)
        elif kind == Kind.WRITE:
            stored[place] = payload
            writes.append((*place, payload))
        else:
            replies.append(answer(stored.get(place, 0)))
        place = step(*place)
    return writes, replies, errors


def run(words, stall="free", rng=None, n_replies=None, at_work=False):
    """``(blocks, source, sink)`` after the flits ``words``."""
    dut = Configuration(params=PARAMS)
    n_replies = len(reference(words, at_work)[1]) if n_replies is None else n_replies
    blocks, source = Blocks(dut), Source(dut.i, words, stall, rng)
    sink = Sink(dut.reply, n_replies, stall, rng)

    async def work(ctx):
        ctx.set(dut.at_work, at_work)

    benches = [work, source, sink]
    simulate(dut, benches, limit=100 + 30 * len(words), background=[blocks])
    return blocks, source, sink


@pytest.mark.parametrize("memory", list(Memory))
def test_pointer_loop_nests_over_chunks_and_words(memory, rng):
    n_chunks = FORMATS.n_chunks(memory)
    words = [point(memory, 3, int(rng.integers(n_chunks)))]
    words += [flit(Kind.WRITE, int(v)) for v in rng.integers(1 << 32, size=3 * n_chunks + 1)]
    words += [point(memory, 3), *[flit(Kind.READ)] * (3 * n_chunks)]
    blocks, source, sink = run(words)
    writes, replies, errors = reference(words)
    assert errors == blocks.errors == []
    assert [write[1:] for write in blocks.writes] == writes
    assert sink.items == replies
    # One WRITE a cycle; on the bus in the second cycle after.
    accepted = source.cycles[1 : 1 + len(writes)]
    assert source.cycles[: 1 + len(writes)] == list(range(1 + len(writes)))
    assert [write[0] for write in blocks.writes] == [cycle + 2 for cycle in accepted]


def test_flits_that_are_not_kept_leave_no_trace(rng):
    words = [point(Memory.FIRE, 3), *(flit(Kind.WRITE, n) for n in range(40))]
    words += [point(Memory.FIRE, 5), *(flit(Kind.WRITE, n) for n in range(40)), flit(Kind.READ)]
    keeps = [True, *(rng.random(len(words) - 1) < 0.5).tolist()]
    dut = Configuration(params=PARAMS)
    blocks = Blocks(dut)
    kept = [word for word, keep in zip(words, keeps, strict=True) if keep]
    writes, replies, errors = reference(kept)
    sink = Sink(dut.reply, len(replies))

    async def send(ctx):
        for word, keep in zip(words, keeps, strict=True):
            ctx.set(dut.i.payload.as_value(), word)
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.keep, keep)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(3)

    simulate(dut, [send, sink], limit=500, background=[blocks])
    assert [write[1:] for write in blocks.writes] == writes
    assert (sink.items, blocks.errors) == (replies, errors)


@pytest.mark.parametrize("memory", [Memory.WEIGHT, Memory.FIRE])
def test_pointer_wraps_at_the_last_address(memory):
    n_chunks = FORMATS.n_chunks(memory)
    words = [point(memory, (1 << 16) - 1), *[flit(Kind.WRITE, n) for n in range(n_chunks + 1)]]
    blocks, _, _ = run(words)
    assert [write[1:] for write in blocks.writes] == [(memory, 0, 0, n_chunks)]
    assert blocks.errors == [Error.WRITE] * n_chunks


@pytest.mark.medium
@pytest.mark.parametrize("at_work", [False, True])
@BY_STALL
def test_random_accesses_match_the_contract(stall, at_work, rng):
    words = [point(Memory.AXON, 3)]
    while len(words) < 500:
        memory = Memory(int(rng.integers(len(Memory)))) if rng.random() < 0.7 else Memory.CONTROL
        choice = rng.integers(8)
        if choice < 2:
            depth, n_chunks = FORMATS.memory(memory)[1], FORMATS.n_chunks(memory)
            near = rng.choice([0, depth - 2])
            if memory == Memory.CONTROL:
                near = rng.choice([Control.COMMAND, RANGES - 1, RANGES + PARAMS.n_axons - 2])
            words.append(
                point(memory, int(near + rng.integers(4)), int(rng.integers(n_chunks + 1)))
            )
        elif choice < 6:
            words.append(flit(Kind.WRITE, int(rng.integers(1 << 32) >> rng.choice([0, 28]))))
        else:
            words.append(flit(Kind.READ))
    # The host takes every answer at once: one that waits is another test's.
    dut = Configuration(params=PARAMS)
    blocks, source = Blocks(dut), Source(dut.i, words, stall, rng)
    writes, replies, errors = reference(words, at_work)
    sink = Sink(dut.reply, len(replies))

    async def work(ctx):
        ctx.set(dut.at_work, at_work)

    simulate(dut, [work, source, sink], limit=16000, background=[blocks])
    assert [write[1:] for write in blocks.writes] == writes
    assert sink.items == replies
    assert blocks.errors == errors
    assert len(replies) > 10
    assert {Error.WRITE, Error.READ} <= set(errors)


@pytest.mark.parametrize(
    ("does", "at_work", "error"),
    [
        (0b0001, False, None),
        (0b0001, True, Error.COMMAND),
        (0b1110, True, None),
        (0b0010000, False, Error.COMMAND),
        (1 << 31, True, Error.COMMAND),
    ],
)
def test_commands_that_are_unknown_or_start_a_core_that_runs_are_refused(does, at_work, error):
    words = [point(Memory.CONTROL, Control.COMMAND), flit(Kind.WRITE, does)]
    blocks, _, _ = run(words, at_work=at_work)
    assert blocks.errors == ([] if error is None else [error])
    assert len(blocks.writes) == (error is None)


def test_read_takes_eight_cycles_and_holds_up_what_follows():
    words = [point(Memory.UPDATE, 1), flit(Kind.READ), flit(Kind.READ), flit(Kind.WRITE, 8)]
    blocks, source, sink = run(words)
    assert source.cycles == [0, 1, 9, 17]
    assert sink.cycles == [8, 16]
    assert [read[0] for read in blocks.reads] == [3, 11]


def test_write_is_read_back_at_once():
    words = []
    for value in (1, 0xFFFFFFFF, 0x80000000):
        words += [point(Memory.LOOKUP, 200), flit(Kind.WRITE, value)]
        words += [point(Memory.LOOKUP, 200), flit(Kind.READ)]
    _, _, sink = run(words)
    assert sink.items == [answer(1), answer(0xFFFFFFFF), answer(0x80000000)]


def test_answer_waits_for_its_sink_and_no_flit_for_the_answer():
    dut = Configuration(params=PARAMS)
    blocks = Blocks(dut)
    here = point(Memory.LOOKUP, 2)
    words = [here, flit(Kind.WRITE, 77), here, flit(Kind.READ)]
    words += [flit(Kind.WRITE, 5), flit(Kind.READ), flit(Kind.READ), here, flit(Kind.WRITE, 6)]
    source = Source(dut.i, words)
    payload = Value.cast(dut.reply.payload)

    async def look(ctx):
        assert ctx.get(dut.idle)
        await ctx.tick().repeat(4)
        for _ in range(7):
            assert not ctx.get(dut.i.ready) and not ctx.get(dut.idle)
            await ctx.tick()
        for _ in range(30):
            assert ctx.get(dut.reply.valid) and ctx.get(payload) == answer(77)
            assert not ctx.get(dut.idle)
            await ctx.tick()
        ctx.set(dut.reply.ready, 1)
        await ctx.tick()
        assert not ctx.get(dut.reply.valid) and ctx.get(dut.idle)

    simulate(dut, [source, look], limit=100, background=[blocks])
    # Two READs came too early: they are errors, and the pointer moves on.
    assert blocks.errors == [Error.READ] * 2
    assert [write[1:] for write in blocks.writes[1:]] == [
        (Memory.LOOKUP, 3, 0, 5),
        (Memory.LOOKUP, 2, 0, 6),
    ]
    # Each takes a cycle more than a WRITE; none waits for the answer.
    assert source.cycles[4:] == [11, 12, 14, 16, 17]


def test_alert_is_an_answer_that_nobody_asked_for():
    dut = Configuration(params=PARAMS)
    blocks = Blocks(dut)
    blocks.words[Memory.CONTROL, Control.ERRORS, 0] = 0x12345
    words = [point(Memory.LOOKUP, 2), flit(Kind.WRITE, 77), flit(Kind.READ)]
    source, sink = Source(dut.i, words), Sink(dut.reply, 2)

    async def ask(ctx):
        ctx.set(dut.alert, 1)
        assert not ctx.get(dut.idle)
        await ctx.tick().until(dut.alerted)
        ctx.set(dut.alert, 0)

    simulate(dut, [source, ask, sink], limit=100, background=[blocks])
    x, y = HOST
    kinds = [FORMATS.flit.unpack(word)["kind"] for word in sink.items]
    assert sorted(kinds) == [ALERT, Kind.DATA]
    alert = FORMATS.flit.unpack(sink.items[kinds.index(ALERT)])
    assert alert == {"kind": ALERT, "x0": x, "y0": y, "x1": x, "y1": y, "payload": 0x12345}
    # The pointer stays where the host has it.
    assert [read[1:] for read in blocks.reads if read[1] == Memory.LOOKUP] == [
        (Memory.LOOKUP, 3, 0)
    ]


@pytest.mark.parametrize("preset", PRESETS)
def test_configuration_converts(preset):
    rtlil.convert(Configuration(params=get_preset(preset)), emit_src=False)
