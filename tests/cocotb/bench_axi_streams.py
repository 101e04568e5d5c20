# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of the streams beside AXI4-Lite; the chip behind them is an echo."""

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import AxiStreamFrame

from stemcore.golden.spec.bursts import COUNT_WIDTH, HEADER_KIND, MIN_COUNT
from stemcore.golden.spec.errors import Error, watchdog_cycles
from stemcore.golden.spec.fields import ALERT, Kind
from stemcore.golden.spec.host_registers import HOST_REGISTERS
from stemcore.runtime.host.bursts import as_bursts
from stemcore.testing import seeded
from tests.support.axi_bus import LIMIT_US, OKAY, SLVERR, WORD_BYTES, AxiRig
from tests.support.axi_flits import FORMATS, command_flits, flit, kind_of

N_FLITS = 300
LAST_KINDS = HOST_REGISTERS["LAST_KINDS"].init
FREE = ("free",) * 5


async def started(dut, *key, into="free", out="free"):
    rng = seeded("axi streams", *key)
    rig = AxiRig(dut, rng, stalls=(*FREE, into, out))
    await rig.reset()
    return rng, rig


# What a host sends; a flit of the other kind would be the header of a burst.
NODES = ("x0", "y0", "x1", "y1")
KINDS = tuple(kind for kind in Kind if kind is not HEADER_KIND)


def random_flits(rng, n, kinds=KINDS):
    width = FORMATS.payload_width
    return [
        flit(kinds[int(rng.integers(len(kinds)))], payload=int(rng.integers(1 << width)))
        for _ in range(n)
    ]


def packets(flits, output_ends, last_kinds=LAST_KINDS):
    """How the outgoing stream divides flits, and what is left of a packet that has not ended."""
    done, packet, ends = [], [], 0
    for word in flits:
        packet.append(word)
        kind = kind_of(word)
        ends += kind is Kind.END
        if kind is Kind.END and ends == output_ends:
            ends = 0
        elif not last_kinds >> kind & 1:
            continue
        done.append(packet)
        packet = []
    return done, packet


async def quiet(rig, limit=100):
    """Until all that was sent has gone in, and all that went in has come out."""
    await with_timeout(rig.source.wait(), LIMIT_US, "us")
    for _ in range(limit):
        if await rig.get("FLITS_IN") == await rig.get("FLITS_OUT"):
            return
    raise AssertionError(f"FLITS_OUT: must reach FLITS_IN within {limit} reads")


@cocotb.test(timeout_time=5000, timeout_unit="us")
@cocotb.parametrize(into=["free", "half", "rare"], out=["free", "third", "rare"])
async def flits_come_out_once_in_order_in_their_packets(dut, into, out):
    rng, rig = await started(dut, "order", into, out, into=into, out=out)
    output_ends = int(rng.integers(1, 4))
    assert await rig.put_fields("SAMPLE_ENDS", input=2, output=output_ends) == OKAY
    flits = [*random_flits(rng, N_FLITS), *[flit(Kind.END)] * output_ends]
    wanted, rest = packets(flits, output_ends)
    begin = 0
    while begin < len(flits):
        length = int(rng.integers(1, 40))
        await rig.send(flits[begin : begin + length])
        begin += length
    assert [await rig.receive() for _ in wanted] == wanted
    await quiet(rig)
    assert await rig.get("FLITS_IN") == len(flits)
    kinds = [kind_of(word) for word in flits]
    assert await rig.get("SPIKES_IN") == await rig.get("SPIKES_OUT") == kinds.count(Kind.SPIKE)
    assert await rig.get("SAMPLES_IN") == kinds.count(Kind.END) // 2
    assert await rig.get("SAMPLES_OUT") == kinds.count(Kind.END) // output_ends
    assert not rest or rig.sink.empty()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def last_kinds_are_the_hosts_choice(dut):
    rng, rig = await started(dut, "last kinds")
    for kinds in (1 << Kind.SPIKE, 0, 0xFF):
        assert await rig.put_fields("LAST_KINDS", kinds=kinds) == OKAY
        assert await rig.put_fields("SAMPLE_ENDS", input=0, output=1) == OKAY
        flits = [*random_flits(rng, 40), flit(Kind.END)]
        await rig.send(flits)
        wanted, _ = packets(flits, 1, kinds)
        assert [await rig.receive() for _ in wanted] == wanted
    assert await rig.get("SAMPLES_IN") == 0


@cocotb.test(timeout_time=500, timeout_unit="us")
async def words_that_are_no_flits_are_dropped_and_told(dut):
    """Each by its bit of ERRORS; the words before and after pass."""
    rng, rig = await started(dut, "faults")
    beats = WORD_BYTES // (len(dut.s_axis_tdata) // 8)
    good = random_flits(rng, 2, (Kind.CREDIT,))
    word = good[0].to_bytes(WORD_BYTES, "little")
    n = WORD_BYTES // beats
    wrong = {"keep": AxiStreamFrame(word, tkeep=[1] * (WORD_BYTES - 1) + [0])}
    wrong["beyond"] = AxiStreamFrame((good[0] | 1 << FORMATS.flit.width).to_bytes(8, "little"))
    if beats == 2:
        wrong["truncated"] = AxiStreamFrame(word[:n])
        wrong["keep "] = AxiStreamFrame(word, tkeep=[0] + [1] * (WORD_BYTES - 1))
        # Bits beyond a flit in a word that is dropped already are not looked at.
        spoilt = (good[0] | 1 << FORMATS.flit.width).to_bytes(8, "little")
        wrong["keep  "] = AxiStreamFrame(spoilt, tkeep=[1, 0] + [1] * (WORD_BYTES - 2))
    for cause, frame in wrong.items():
        await rig.send(good[:1])
        await rig.source.send(frame)
        await rig.send(good[1:])
        assert [await rig.receive(), await rig.receive()] == [good[:1], good[1:]], cause
        errors = await rig.get("ERRORS")
        layout = HOST_REGISTERS["ERRORS"].layout
        assert [name for name, bit in layout.unpack(errors).items() if bit] == [cause.strip()]
        assert (await rig.fields("INTERRUPT"))["error"] == 1
        assert await rig.put("ERRORS", errors) == OKAY
        assert await rig.put_fields("INTERRUPT", error=1) == OKAY
    assert await rig.get("ERRORS") == 0
    assert await rig.get("FLITS_IN") == 2 * len(wrong)


def among_null_beats(rng, word, n):
    """The word in beats of n bytes, up to two that hold nothing before each."""
    data, keep = bytearray(), []
    for place in range(0, WORD_BYTES, n):
        for _ in range(int(rng.integers(3))):
            data += rng.bytes(n)
            keep += [0] * n
        data += word.to_bytes(WORD_BYTES, "little")[place : place + n]
        keep += [1] * n
    return AxiStreamFrame(data, tkeep=keep)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def beats_that_hold_nothing_are_no_words(dut):
    rng, rig = await started(dut, "null beats")
    n = len(dut.s_axis_tkeep)
    flits = random_flits(rng, 4, (Kind.WRITE,))
    for word in flits:
        # The model of the source leaves bytes that are not kept in their lanes.
        await rig.source.send(among_null_beats(rng, word, n))
    assert [await rig.receive() for _ in flits] == [[word] for word in flits]
    assert await rig.get("ERRORS") == 0


@cocotb.test(timeout_time=1000, timeout_unit="us")
@cocotb.parametrize(out=["free", "rare"])
async def reset_of_the_chip_in_flight(dut, out):
    """What was under way is dropped; what is sent afterwards passes, word by word."""
    rng, rig = await started(dut, "reset", out, into="half", out=out)
    n_dropped = 0
    for _ in range(3):
        first = [flit(Kind.WRITE, payload=n) for n in range(200)]
        later = [flit(Kind.WRITE, payload=1000 + n) for n in range(30)]
        await rig.send(first)
        await rig.send(later)
        await ClockCycles(dut.aclk, int(rng.integers(10, 120)))
        assert await rig.put_fields("RESET", reset=1) == OKAY
        await rig.reset_over()
        await quiet(rig)
        await ClockCycles(dut.aclk, 400)
        got = []
        while not rig.sink.empty():
            got += await rig.receive()
        order = [FORMATS.flit.unpack(word)["payload"] for word in got]
        assert order == sorted(set(order)), "no flit comes twice or out of order"
        n_dropped += len(first) + len(later) - len(order)
        assert order[-30:] == list(range(1000, 1030))
        assert await rig.get("ERRORS") == 0
    assert n_dropped, "those under way"


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def settings_stay_in_a_reset_of_the_chip_and_counters_do_not(dut):
    rng, rig = await started(dut, "settings")
    await rig.send([flit(ALERT, payload=1), flit(Kind.END)])
    assert await rig.put("WATCHDOG", 9) == OKAY
    assert await rig.put_fields("SAMPLE_ENDS", input=3, output=2) == OKAY
    await quiet(rig)
    errors = await rig.get("ERRORS")
    assert errors
    assert await rig.put_fields("RESET", reset=1) == OKAY
    refused = [await rig.put_fields("RESET", reset=1), await rig.put_fields("COMMAND", stop=1)]
    assert refused == [SLVERR, SLVERR], "while the reset is under way"
    await rig.reset_over()
    assert await rig.get("ERRORS") == errors
    assert await rig.get("WATCHDOG") == 9
    for register in HOST_REGISTERS:
        if register.split("_")[0] in ("FLITS", "SPIKES", "SAMPLES", "STALLED"):
            assert await rig.get(register) == 0, register


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def command_goes_between_the_words_of_a_packet(dut):
    rng, rig = await started(dut, "command", into="half", out="half")
    flits = random_flits(rng, 150, (Kind.CREDIT,))
    await rig.send(flits)
    for _ in range(5):
        assert await rig.put_fields("COMMAND", stop=1) == OKAY
        while (await rig.fields("STATUS"))["sending"]:
            pass
    commands = command_flits((0, 1, 1, 2), stop=1)
    got = []
    while len(got) < len(flits) + 10:
        got += await rig.receive()
    assert [word for word in got if kind_of(word) is Kind.CREDIT] == flits
    sent = [(n, word) for n, word in enumerate(got) if kind_of(word) is not Kind.CREDIT]
    assert [word for _, word in sent] == commands * 5
    places = [n for n, _ in sent]
    assert [b - a for a, b in zip(places[::2], places[1::2], strict=True)] == [1] * 5
    assert any(places[n] > places[n - 1] + 1 for n in range(2, 10, 2)), "amid the packet"


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def alerts_are_kept_until_they_are_cleared(dut):
    _, rig = await started(dut, "alerts")

    def alert(*causes, x=0):
        bits = {error.name.lower(): int(error in causes) for error in Error}
        return FORMATS.errors.pack(**bits, count=1, x=x, y=1)

    first, second = alert(Error.SPIKE, Error.RANGE), alert(Error.TOKEN, x=1)
    await rig.send([flit(ALERT, payload=first), flit(ALERT, payload=second)])
    await quiet(rig)
    assert await rig.get("ALERT") == first
    bits = {name for name, bit in (await rig.fields("ERRORS")).items() if bit}
    assert bits == {"spike", "range", "token", "alert"}
    assert await rig.put_fields("ERRORS", alert=1, token=1) == OKAY
    assert await rig.get("ALERT") == 0
    bits = {name for name, bit in (await rig.fields("ERRORS")).items() if bit}
    assert bits == {"spike", "range"}
    await rig.send([flit(ALERT, payload=second)])
    await quiet(rig)
    assert await rig.get("ALERT") == second
    # What else comes out of the chip is no alert, whatever its payload.
    assert await rig.put("ERRORS", HOST_REGISTERS["ERRORS"].mask) == OKAY
    await rig.send([flit(kind, payload=first) for kind in KINDS if kind != ALERT])
    await quiet(rig)
    assert await rig.get("ERRORS") == 0


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def silence_is_an_error_while_samples_are_open(dut):
    _, rig = await started(dut, "silence")
    assert await rig.put_fields("SAMPLE_ENDS", input=1, output=2) == OKAY
    assert await rig.put("WATCHDOG", 4) == OKAY
    await ClockCycles(dut.aclk, 2 * watchdog_cycles(4))
    assert await rig.get("ERRORS") == 0, "nothing is open"
    await rig.send([flit(Kind.END)])
    await quiet(rig)
    assert (await rig.fields("STATUS"))["open"] == 1
    await ClockCycles(dut.aclk, watchdog_cycles(4) // 2)
    assert await rig.get("ERRORS") == 0
    await ClockCycles(dut.aclk, watchdog_cycles(4) // 2)
    assert (await rig.fields("ERRORS"))["silence"] == 1
    # Closed by the second END that the chip sends; input is not counted any more.
    assert await rig.put_fields("SAMPLE_ENDS", input=0, output=2) == OKAY
    await rig.send([flit(Kind.END)])
    assert await rig.receive() == [flit(Kind.END)] * 2
    assert (await rig.fields("STATUS"))["open"] == 0
    assert await rig.put_fields("ERRORS", silence=1) == OKAY
    await ClockCycles(dut.aclk, 2 * watchdog_cycles(4))
    assert await rig.get("ERRORS") == 0


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def back_pressure_reaches_the_host(dut):
    """Nothing is taken that has no place, and nothing is lost meanwhile."""
    rng, rig = await started(dut, "back-pressure")
    rig.sink.clear_pause_generator()
    rig.sink.pause = True
    flits = random_flits(rng, 200, (Kind.CREDIT,))
    await rig.send(flits)
    await ClockCycles(dut.aclk, 1000)
    taken = await rig.get("FLITS_IN")
    assert taken < 60
    assert await rig.get("STALLED_IN") > 500
    assert await rig.get("STALLED_OUT") > 500
    with pytest.raises(cocotb.triggers.SimTimeoutError):
        await with_timeout(rig.source.wait(), 1, "us")
    assert await rig.get("FLITS_IN") == taken
    rig.sink.pause = False
    assert [await rig.receive() for _ in flits] == [[word] for word in flits]


def writes(rng, n, first=0):
    """WRITE flits to a rectangle, numbered in their payloads; and the words of their burst."""
    nodes = tuple(int(rng.integers(4)) for _ in range(4))
    flits = [flit(Kind.WRITE, nodes, first + k) for k in range(n)]
    return flits, as_bursts(np.array(flits, np.uint64), FORMATS).tolist()


@cocotb.test(timeout_time=2000, timeout_unit="us")
@cocotb.parametrize(into=["free", "half"], out=["free", "third"])
async def bursts_are_their_writes(dut, into, out):
    """Between other flits, in packets that end anywhere; of all lengths, none and one too."""
    rng, rig = await started(dut, "bursts", into, out, into=into, out=out)
    flits, words = [], []
    for n in (5, 0, 1, 40, 4, 7):
        more, burst = writes(rng, n)
        if n < MIN_COUNT:
            data = [FORMATS.flit.unpack(word)["payload"] for word in more]
            nodes = tuple(FORMATS.flit.unpack(more[0])[at] for at in NODES) if more else (0,) * 4
            burst = [flit(HEADER_KIND, nodes, payload=n), *data]
        between = random_flits(rng, 3, (Kind.CREDIT,))
        flits += more + between
        words += burst + between
    begin = 0
    while begin < len(words):
        length = int(rng.integers(1, 12))
        await rig.send(words[begin : begin + length])
        begin += length
    assert [(await rig.receive())[0] for _ in flits] == flits
    assert await rig.get("ERRORS") == 0
    status = await rig.fields("STATUS")
    assert (status["burst"], status["output"]) == (0, 0)


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def commands_go_between_the_writes_of_a_burst(dut):
    rng, rig = await started(dut, "bursts", "commands", into="half", out="half")
    flits, words = writes(rng, 200)
    await rig.send(words)
    for _ in range(3):
        assert await rig.put_fields("COMMAND", stop=1) == OKAY
        while (await rig.fields("STATUS"))["sending"]:
            pass
    command = command_flits((0, 1, 1, 2), stop=1)
    got = [(await rig.receive())[0] for _ in range(len(flits) + 3 * len(command))]
    places = [n for n, word in enumerate(got) if word == command[0]]
    assert len(places) == 3 and 0 < places[-1] < len(got) - len(command), "amid the burst"
    for n in reversed(places):
        assert got[n : n + 2] == command
        del got[n : n + 2]
    assert got == flits


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def beats_that_are_no_words_come_amid_a_burst(dut):
    """Those without bytes are nothing; for one that is dropped the burst awaits another."""
    rng, rig = await started(dut, "null beats of a burst")
    n = len(dut.s_axis_tkeep)
    flits, words = writes(rng, 9)
    for number, word in enumerate(words):
        if number == 3:
            spoilt = AxiStreamFrame(rng.bytes(WORD_BYTES), tkeep=[0] + [1] * (WORD_BYTES - 1))
            await rig.source.send(spoilt)
        await rig.source.send(among_null_beats(rng, word, n))
    assert [await rig.receive() for _ in flits] == [[word] for word in flits]
    assert {name for name, bit in (await rig.fields("ERRORS")).items() if bit} == {"keep"}
    assert (await rig.fields("STATUS"))["burst"] == 0


@cocotb.test(timeout_time=500, timeout_unit="us")
async def a_burst_that_stops_is_seen_and_a_reset_ends_it(dut):
    rng, rig = await started(dut, "half a burst")
    flits, words = writes(rng, 9)
    await rig.send(words[:3])
    assert [await rig.receive() for _ in range(4)] == [[word] for word in flits[:4]]
    await quiet(rig)
    assert (await rig.fields("STATUS"))["burst"] == 1
    assert await rig.put_fields("RESET", reset=1) == OKAY
    await rig.reset_over()
    assert (await rig.fields("STATUS"))["burst"] == 0
    credit = flit(Kind.CREDIT)
    await rig.send([credit, *words])
    assert [await rig.receive() for _ in range(10)] == [[word] for word in [credit, *flits]]
    assert await rig.get("ERRORS") == 0


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def what_is_offered_of_a_burst_is_dropped_after_a_reset(dut):
    """It would be the header of another one, and takes no flit that comes after it along."""
    rng, rig = await started(dut, "offered at reset")
    rig.sink.clear_pause_generator()
    rig.sink.pause = True
    await rig.send([flit(HEADER_KIND, payload=600)])
    data = flit(HEADER_KIND, payload=5)
    for _ in range(300):
        await rig.send([data])
        await ClockCycles(dut.aclk, 40)
        if rig.source.empty() and int(dut.s_axis_tvalid.value):
            break
    else:
        raise AssertionError("the host side must stop taking words while nothing goes out")
    assert await rig.put_fields("RESET", reset=1) == OKAY
    await rig.reset_over()
    rig.sink.pause = False
    flits, words = writes(rng, 6)
    sent = [flit(Kind.CREDIT), *flits]
    await rig.send([sent[0], *words])
    await quiet(rig)
    await ClockCycles(dut.aclk, 200)
    got = []
    while not rig.sink.empty():
        got += await rig.receive()
    # What the outgoing stream had offered before stays offered.
    assert got[-len(sent) :] == sent and len(got) <= len(sent) + 2
    assert all(kind_of(word) is Kind.WRITE for word in got[: -len(sent)])
    assert await rig.get("FLITS_IN") == len(sent)
    assert await rig.get("ERRORS") == 0


@cocotb.test(timeout_time=500, timeout_unit="us")
async def a_header_with_bits_beyond_its_count_is_dropped_and_seen(dut):
    """It is no header, and what follows it is not its data."""
    rng, rig = await started(dut, "header beyond")
    flits, words = writes(rng, 6)
    wrong = flit(HEADER_KIND, payload=6 | 1 << COUNT_WIDTH)
    credits = [flit(Kind.CREDIT, payload=n) for n in range(3)]
    await rig.send([wrong, *credits, *words])
    assert [await rig.receive() for _ in range(9)] == [[word] for word in credits + flits]
    assert {name for name, bit in (await rig.fields("ERRORS")).items() if bit} == {"beyond"}
    assert await rig.get("FLITS_IN") == len(flits) + len(credits)
