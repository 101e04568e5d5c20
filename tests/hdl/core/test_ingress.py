# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth import Cat, Module, Mux, Signal
from amaranth.back import rtlil
from amaranth.hdl import Value

from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.hdl.core.ingress import Egress, EntryQueue, FlitCheck, Ingress
from stemcore.testing import willing
from tests.support.streams import BY_STALL, Sink, Source, simulate

TINY = get_preset("tiny")
FORMATS = Formats(TINY)
FLIT = FORMATS.flit
SPIKE_MASK = (1 << FORMATS.spike.width) - 1
CONFIG = (Kind.ADDRESS, Kind.WRITE, Kind.READ)
TOKENS = (Kind.END, Kind.CREDIT)


def flit(kind, payload=0, at=(3, 5)):
    x, y = at
    return FLIT.pack(kind=int(kind), x0=x, y0=y, x1=x, y1=y, payload=payload)


def random_flits(rng, n, kinds=tuple(Kind)):
    payloads = rng.integers(1 << 32, size=n).tolist()
    return [flit(rng.choice(kinds), payload) for payload in payloads]


def kind_of(word):
    return Kind(FLIT.unpack(word)["kind"])


def clocked(dut):
    """``dut`` with a register beside it: the benches need a clock, it has none. An ingress is told
    what its flits are."""
    m = Module()
    beat = Signal()
    m.submodules.dut = dut
    if isinstance(dut, Ingress):
        m.submodules.check = check = FlitCheck(params=TINY)
        m.d.comb += [
            check.kind.eq(dut.i.payload.kind),
            check.payload.eq(dut.i.payload.payload),
            dut.verdict.eq(check.verdict),
        ]
    m.d.sync += beat.eq(~beat)
    return m


class Events:
    """Everything that leaves an ingress, one ``(output, payload)`` after the other."""

    def __init__(self, dut):
        self.dut = dut
        self.seen = []

    async def drive(self, ctx):
        dut = self.dut
        while True:
            _, _, *at = await ctx.tick().sample(
                dut.spike.valid & dut.spike.ready & dut.keep,
                Value.cast(dut.spike.payload),
                dut.config.valid & dut.config.ready & dut.keep_config,
                Value.cast(dut.config.payload),
                Cat(dut.end, dut.credit, dut.hold, dut.go),
                Mux(dut.keep, dut.causes & ~(1 << Error.RANGE), dut.causes),
            )
            spike, spike_payload, config, config_payload, tokens, causes = at
            now = [("spike", spike_payload)] * spike + [("config", config_payload)] * config
            now += [(name, None) for i, name in enumerate(PULSES) if tokens >> i & 1]
            now += [(error, None) for error in Error if causes >> error & 1]
            assert len(now) <= 1, f"one flit must have one effect, got {now}"
            self.seen += now


PULSES = ("end", "credit", "hold", "go")
ALL_DUE = dict.fromkeys(("may_spike", "may_credit", "may_hold", "may_go", "is_inside"), 1)


def effect(word, due=ALL_DUE):
    """What ``Events`` must see for ``word``, by the protocol; ``due``: inputs of the ingress."""
    fields = FLIT.unpack(word)
    kind, payload = Kind(fields["kind"]), fields["payload"]
    spike = FORMATS.spike.unpack(payload & SPIKE_MASK)
    hold = FORMATS.spike.pack(**dict.fromkeys(spike, 0) | {"t": 1})
    used = {Kind.SPIKE: SPIKE_MASK, Kind.PACE: hold, Kind.WRITE: (1 << 32) - 1}
    used |= {Kind.ADDRESS: (1 << FORMATS.pointer.width) - 1}
    if kind == Kind.DATA:
        return Error.KIND, None
    if payload & ~used.get(kind, 0):
        return Error.RESERVED, None
    if kind == Kind.SPIKE:
        if not due["may_spike"]:
            return Error.SPIKE, None
        is_inside = spike["t"] < 8 and due["is_inside"]
        return ("spike", payload & SPIKE_MASK) if is_inside else (Error.RANGE, None)
    if kind == Kind.PACE:
        name, may = ("hold", "may_hold") if payload else ("go", "may_go")
        return (name if due[may] else Error.PACE), None
    if kind in CONFIG:
        return "config", word
    may = "may_spike" if kind == Kind.END else "may_credit"
    return (kind.name.lower() if due[may] else Error.TOKEN), None


def typical_flits(rng, n):
    """Of every kind, most of them as they ought to be."""
    words = []
    for word in random_flits(rng, n):
        fields = FLIT.unpack(word)
        kind = Kind(fields["kind"])
        if kind in (Kind.END, Kind.CREDIT, Kind.READ) and rng.random() < 0.7:
            fields["payload"] = 0
        elif kind == Kind.PACE and rng.random() < 0.9:
            t = int(rng.integers(2))
            fields["payload"] = FORMATS.spike.pack(axon=0, t=t, c=0, y=0, x=0)
        elif kind == Kind.ADDRESS and rng.random() < 0.7:
            fields["payload"] &= (1 << FORMATS.pointer.width) - 1
        elif kind == Kind.SPIKE and rng.random() < 0.9:
            spike = FORMATS.spike.unpack(fields["payload"] & SPIKE_MASK)
            spike["t"] &= int(rng.choice([7, 15]))
            fields["payload"] = FORMATS.spike.pack(**spike)
        words.append(FLIT.pack(**fields))
    return words


def listener(out, stall, rng):
    """Takes what ``out`` gives, for ever; a flit that is dropped waits for its turn too."""

    async def bench(ctx):
        for ready in willing(stall, rng):
            ctx.set(out.ready, ready)
            await ctx.tick()

    return bench


def permit(dut, due=ALL_DUE):
    async def bench(ctx):
        for name, value in due.items():
            ctx.set(getattr(dut, name), value)

    return bench


@pytest.mark.medium
@BY_STALL
def test_ingress_sorts_by_kind_and_keeps_order(stall, rng):
    dut = Ingress(params=TINY)
    words = typical_flits(rng, 400)
    events = Events(dut)
    wanted = [effect(word) for word in words]
    source = Source(dut.i, words, stall, rng)
    listeners = [listener(out, stall, rng) for out in (dut.spike, dut.config)]
    benches = [permit(dut), source]
    simulate(clocked(dut), benches, limit=8000, background=[events, *listeners])
    assert events.seen == wanted
    names = {name for name, _ in wanted}
    assert {"spike", "config", *PULSES, Error.RANGE, Error.KIND, Error.RESERVED} <= names
    if stall == "free":
        assert source.cycles == list(range(len(words)))


@pytest.mark.medium
@pytest.mark.parametrize("missing", ALL_DUE)
def test_flit_that_is_not_due_is_dropped_and_told(missing, rng):
    dut = Ingress(params=TINY)
    words = typical_flits(rng, 200)
    due = ALL_DUE | {missing: 0}
    events = Events(dut)
    wanted = [effect(word, due) for word in words]
    listeners = [listener(out, "free", rng) for out in (dut.spike, dut.config)]
    benches = [permit(dut, due), Source(dut.i, words)]
    simulate(clocked(dut), benches, limit=1000, background=[events, *listeners])
    assert events.seen == wanted
    assert wanted != [effect(word) for word in words]


def test_tokens_are_accepted_and_data_dropped_while_nobody_listens(rng):
    dut = Ingress(params=TINY)
    kinds = rng.choice((*TOKENS, Kind.DATA), size=60)
    words = [flit(kind) for kind in kinds]
    events, source = Events(dut), Source(dut.i, words)
    simulate(clocked(dut), [permit(dut), source], limit=100, background=[events])
    assert source.cycles == list(range(60))
    assert events.seen == [effect(word) for word in words]
    assert sum(name == Error.KIND for name, _ in events.seen) > 5


@pytest.mark.parametrize("kind", [Kind.SPIKE, *CONFIG])
def test_flit_that_waits_holds_up_those_behind_it(kind):
    dut = Ingress(params=TINY)
    out = dut.spike if kind == Kind.SPIKE else dut.config
    other = dut.config if kind == Kind.SPIKE else dut.spike
    source = Source(dut.i, [flit(kind), flit(Kind.END), flit(Kind.CREDIT)])
    events = Events(dut)

    async def listen(ctx):
        ctx.set(other.ready, 1)
        for _ in range(12):
            await ctx.tick()
            assert not events.seen
        ctx.set(out.ready, 1)

    benches = [permit(dut), listen, source]
    simulate(clocked(dut), benches, limit=40, background=[events])
    assert source.cycles == [12, 13, 14]
    assert [name for name, _ in events.seen] == [events.seen[0][0], "end", "credit"]


def test_idle_ingress_gives_nothing():
    dut = Ingress(params=TINY)
    events = Events(dut)

    async def idle(ctx):
        ctx.set(dut.spike.ready, 1)
        ctx.set(dut.config.ready, 1)
        for kind in Kind:
            ctx.set(Value.cast(dut.i.payload), flit(kind, 0x7FFFFFFF))
            await ctx.tick()
            assert not ctx.get(dut.spike.valid) and not ctx.get(dut.config.valid)

    simulate(clocked(dut), [idle], limit=20, background=[events])
    assert events.seen == []


@pytest.mark.medium
@BY_STALL
def test_egress_merges_and_keeps_the_order_of_each_input(stall, rng):
    dut = Egress(params=TINY)
    given = {
        "flow": random_flits(rng, 40, (Kind.CREDIT, Kind.PACE)),
        "fire": random_flits(rng, 120, (Kind.SPIKE, Kind.END)),
        "reply": random_flits(rng, 80, (Kind.DATA,)),
    }
    # The sink holds the egress to its choice: what waits must not change.
    sink = Sink(dut.o, sum(map(len, given.values())), stall, rng)
    sources = [Source(getattr(dut, name), words, "third", rng) for name, words in given.items()]
    simulate(clocked(dut), [*sources, sink], limit=6000)
    for words in given.values():
        kinds = {kind_of(word) for word in words}
        assert [word for word in sink.items if kind_of(word) in kinds] == words


def test_egress_takes_flow_control_first_then_axon_out_at_full_rate():
    dut = Egress(params=TINY)
    flow = [flit(Kind.CREDIT), flit(Kind.PACE), flit(Kind.CREDIT)]
    fired = [flit(Kind.SPIKE, n) for n in range(20)]
    replies = [flit(Kind.DATA, n) for n in range(5)]
    sink = Sink(dut.o, 28)
    sources = [Source(dut.flow, flow), Source(dut.fire, fired), Source(dut.reply, replies)]
    simulate(clocked(dut), [*sources, sink], limit=60)
    assert sink.items == flow + fired + replies
    assert sink.cycles == list(range(28))


@pytest.mark.parametrize("first", ["fire", "reply"])
def test_egress_holds_its_choice_while_it_waits(first):
    dut = Egress(params=TINY)
    words = {"fire": flit(Kind.SPIKE, 7), "reply": flit(Kind.DATA, 9)}
    second = "reply" if first == "fire" else "fire"

    async def drive(ctx):
        for offered in (first, second):
            port = getattr(dut, offered)
            ctx.set(Value.cast(port.payload), words[offered])
            ctx.set(port.valid, 1)
            for _ in range(4):
                await ctx.tick()
                assert ctx.get(dut.o.valid)
                assert ctx.get(Value.cast(dut.o.payload)) == words[first]
                assert not ctx.get(dut.fire.ready) and not ctx.get(dut.reply.ready)
        for chosen, other in ((first, second), (second, first)):
            ctx.set(dut.o.ready, 1)
            assert ctx.get(Value.cast(dut.o.payload)) == words[chosen]
            assert ctx.get(getattr(dut, chosen).ready)
            assert not ctx.get(getattr(dut, other).ready)
            await ctx.tick()
            ctx.set(getattr(dut, chosen).valid, 0)
        assert not ctx.get(dut.o.valid)

    simulate(clocked(dut), [drive], limit=40)


@pytest.mark.medium
@BY_STALL
def test_entry_queue_says_of_the_oldest_flit_what_the_check_says(stall, rng):
    dut = EntryQueue(params=TINY)
    words = typical_flits(rng, 400)
    m = clocked(dut)
    m.submodules.check = check = FlitCheck(params=TINY)
    m.d.comb += [check.kind.eq(dut.o.payload.kind), check.payload.eq(dut.o.payload.payload)]
    sink, verdicts = Sink(dut.o, len(words), stall, rng), set()

    async def compare(ctx):
        while True:
            _, _, valid, *both = await ctx.tick().sample(
                dut.o.valid, dut.verdict.as_value(), check.verdict.as_value()
            )
            if valid:
                assert both[0] == both[1]
                verdicts.add(both[0])

    simulate(m, [Source(dut.i, words, "third", rng), sink], limit=8000, background=[compare])
    assert sink.items == words
    assert len(verdicts) >= len(Kind)


@pytest.mark.parametrize("unit", [Ingress, Egress, EntryQueue])
@pytest.mark.parametrize("preset", PRESETS)
def test_sorters_convert(preset, unit):
    rtlil.convert(unit(params=get_preset(preset)), emit_src=False)
