# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth import Module, Signal
from amaranth.back import rtlil
from amaranth.hdl import Value

from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.hdl.core.ingress import Egress, Ingress
from tests.support.streams import STALLS, Sink, Source, simulate

TINY = get_preset("tiny")
FLIT = Formats(TINY).flit
SPIKE_MASK = (1 << Formats(TINY).spike.width) - 1
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
    """``dut`` with a register beside it: the benches need a clock, it has none."""
    m = Module()
    beat = Signal()
    m.submodules.dut = dut
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
                dut.spike.valid & dut.spike.ready,
                Value.cast(dut.spike.payload),
                dut.config.valid & dut.config.ready,
                Value.cast(dut.config.payload),
                dut.end,
                dut.credit,
            )
            spike, spike_payload, config, config_payload, end, credit = at
            now = [("spike", spike_payload)] * spike + [("config", config_payload)] * config
            now += [("end", None)] * end + [("credit", None)] * credit
            assert len(now) <= 1, f"one flit must have one effect, got {now}"
            self.seen += now


def effects(words):
    """What ``Events`` must see for ``words``; flits of kind DATA have no effect."""
    for word in words:
        kind = kind_of(word)
        if kind == Kind.SPIKE:
            yield "spike", FLIT.unpack(word)["payload"] & SPIKE_MASK
        elif kind in CONFIG:
            yield "config", word
        elif kind in TOKENS:
            yield kind.name.lower(), None


@pytest.mark.parametrize("stall", STALLS)
def test_ingress_sorts_by_kind_and_keeps_order(stall, rng):
    dut = Ingress(params=TINY)
    words = random_flits(rng, 300)
    events = Events(dut)
    spikes = [word for word in words if kind_of(word) == Kind.SPIKE]
    config = [word for word in words if kind_of(word) in CONFIG]
    sinks = [
        Sink(dut.spike, len(spikes), stall, rng),
        Sink(dut.config, len(config), stall, rng),
    ]
    source = Source(dut.i, words, stall, rng)
    simulate(clocked(dut), [source, *sinks], limit=6000, background=[events])
    assert events.seen == list(effects(words))
    assert sinks[1].items == config
    if stall == "free":
        assert source.cycles == list(range(len(words)))


def test_tokens_are_accepted_and_data_dropped_while_nobody_listens(rng):
    dut = Ingress(params=TINY)
    words = random_flits(rng, 60, (*TOKENS, Kind.DATA))
    events, source = Events(dut), Source(dut.i, words)
    simulate(clocked(dut), [source], limit=100, background=[events])
    assert source.cycles == list(range(60))
    assert events.seen == list(effects(words))
    assert len(events.seen) < 60


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

    simulate(clocked(dut), [listen, source], limit=40, background=[events])
    assert source.cycles == [12, 13, 14]
    assert [name for name, _ in events.seen] == [events.seen[0][0], "end", "credit"]


def test_idle_ingress_gives_nothing():
    dut = Ingress(params=TINY)
    events = Events(dut)

    async def idle(ctx):
        ctx.set(dut.spike.ready, 1)
        ctx.set(dut.config.ready, 1)
        for kind in Kind:
            ctx.set(Value.cast(dut.i.payload), flit(kind))
            await ctx.tick()
            assert not ctx.get(dut.spike.valid) and not ctx.get(dut.config.valid)

    simulate(clocked(dut), [idle], limit=20, background=[events])
    assert events.seen == []


@pytest.mark.parametrize("stall", STALLS)
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


@pytest.mark.parametrize("unit", [Ingress, Egress])
@pytest.mark.parametrize("preset", PRESETS)
def test_sorters_convert(preset, unit):
    rtlil.convert(unit(params=get_preset(preset)), emit_src=False)
