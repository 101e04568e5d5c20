# SPDX-License-Identifier: Apache-2.0
"""Both hosts, in Python and in C++, send what stemcore.golden.spec.tokens permits, when it does."""

import ctypes
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stemcore.folders import engines
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.routing import HOST
from stemcore.golden.spec.tokens import Sink, Source
from stemcore.runtime.host.flits import Host
from stemcore.runtime.host.protocol import Protocol
from stemcore.runtime.native.build import ENGINE, fields_header
from stemcore.runtime.toolchain.process import built_once, content_key, find_program, run
from stemcore.runtime.toolchain.verilator import COMPILER_HINT
from tests.support.chip_programs import four_core_case, stepped_case

SOURCE = Path(__file__).parents[2] / "support" / "host_rules.cpp"
HOST_NODE = (*HOST, *HOST)
CASES = {"sample": lambda: four_core_case(3), "time step": lambda: stepped_case("late")}


@pytest.fixture(scope="module")
def functions():
    sources, header = [SOURCE, ENGINE.with_name("host.h")], fields_header(get_preset("tiny"))
    with built_once(engines(), "host_rules", content_key(sources, header)) as (folder, empty):
        if empty:
            (folder / "fields.h").write_text(header)
            compiler = find_program("g++", hint=COMPILER_HINT)
            options = ["-std=c++20", "-shared", "-fPIC", f"-I{ENGINE.parent}", f"-I{folder}"]
            run([compiler, *options, SOURCE, "-o", folder / "host_rules.so"], cwd=folder)
    loaded = ctypes.CDLL(str(folder / "host_rules.so"))
    loaded.host_create.restype = ctypes.c_void_p
    return loaded


class Rules:
    """The rules themselves: configuration, then tokens that are owed, then periods."""

    def __init__(self, program, raw, parts):
        self.raw, self.parts = list(raw), [list(part) for part in parts]
        self.n_credits = len(program.output_cores)
        self.n_owed = self.n_credits
        self.source, self.sink = Source(program.input_credits), Sink(program.output_ends)

    def receive(self, kind, t):
        if kind is Kind.CREDIT:
            self.source.credit()
        elif kind is Kind.PACE:
            self.source.pace(bool(t))
        elif self.sink.end():
            self.n_owed += self.n_credits

    def send(self):
        """The kind that is sent, or None: CREDIT for tokens, SPIKE for a period's flits."""
        if self.raw:
            self.raw.pop()
            return Kind.WRITE
        if self.n_owed:
            self.n_owed -= 1
            return Kind.CREDIT
        if not self.parts or not self.source.may_send:
            return None
        if not self.source.is_sending:
            self.source.begin()
        self.parts[0].pop()
        if not self.parts[0]:
            self.parts.pop(0)
            self.source.finish()
        return Kind.SPIKE


class InPython:
    def __init__(self, program, images):
        self.protocol, self.host = Protocol(program, images), Host(program)
        self.formats = Formats(program.params)

    def receive(self, kind, t):
        payload = self.formats.spike.pack(axon=0, t=t, c=0, y=0, x=0)
        self.protocol.receive(self.host.flit(kind, HOST_NODE, payload))

    def send(self):
        flit = self.protocol.offer()
        if flit is None:
            return None
        self.protocol.taken()
        kind = Kind(self.formats.flit.unpack(flit)["kind"])
        # Configuration and periods are told apart by where they begin; kinds by their group.
        groups = {Kind.ADDRESS: Kind.WRITE, Kind.END: Kind.SPIKE}
        return groups.get(kind, kind)


class InCpp:
    def __init__(self, functions, program, raw, parts):
        self.functions = functions
        lengths = (ctypes.c_int * len(parts))(*map(len, parts))
        numbers = (len(raw), len(program.output_cores), program.input_credits, program.output_ends)
        self.handle = ctypes.c_void_p(functions.host_create(*numbers, len(parts), lengths))

    def receive(self, kind, t):
        self.functions.host_receive(self.handle, int(kind), t)

    def send(self):
        kind = self.functions.host_send(self.handle)
        return None if kind < 0 else Kind(kind)


def random_life(rng, program, n_ends):
    """What comes and what may be sent, in random order: kinds to receive, None to send."""
    holding, ends = 0, 0
    for _ in range(6000):
        choice = rng.random()
        if choice < 0.06:
            yield Kind.CREDIT, 0
        elif choice < 0.09 and holding < program.input_credits:
            holding += 1
            yield Kind.PACE, 1
        elif choice < 0.14 and holding:
            holding -= 1
            yield Kind.PACE, 0
        elif choice < 0.20 and ends < n_ends:
            ends += 1
            yield Kind.END, 0
        else:
            yield None, 0


@pytest.mark.medium
@pytest.mark.parametrize("period", CASES)
def test_hosts_send_what_the_rules_permit(functions, period, rng):
    _, program, images = CASES[period]()
    # Several tokens for each period, and many periods, whatever the program is like.
    program = replace(program, input_credits=2, output_ends=3)
    images = np.concatenate([images] * 10)
    host = Host(program)
    raw = np.concatenate(
        [part for core in program.cores for part in (host.configuration(core), host.start(core))]
    )
    parts = [part for image in images for part in host.parts(image)]
    n_ends = program.output_ends * len(images)
    rules = Rules(program, raw, parts)
    players = [InPython(program, images), InCpp(functions, program, raw, parts)]
    counts = dict.fromkeys((Kind.WRITE, Kind.CREDIT, Kind.SPIKE, None), 0)
    for _ in raw:
        assert {player.send() for player in (rules, *players)} == {Kind.WRITE}
    for number, (kind, t) in enumerate(random_life(rng, program, n_ends)):
        if kind is not None:
            for player in (rules, *players):
                player.receive(kind, t)
            continue
        wanted, *got = (player.send() for player in (rules, *players))
        counts[wanted] += 1
        assert got == [wanted, wanted], f"step {number}"
    functions.host_destroy(players[1].handle)
    assert min(counts[Kind.CREDIT], counts[Kind.SPIKE], counts[None]) > 10, counts
