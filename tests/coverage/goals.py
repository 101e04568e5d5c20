# SPDX-License-Identifier: Apache-2.0
"""Functional coverage: what has to happen at least once in simulated gateware and its programs.

Goals are cover points and crosses of cocotb-coverage. A run samples them from the counters of
``probes.v`` and from the memory images of programs; samples lie in files, a run each, so that runs
of any simulator add up.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cocotb_coverage.coverage import CoverCross, CoverPoint, coverage_db, coverage_section

from stemcore.folders import results
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import Port
from stemcore.hdl.noc.router import TURNS

OUT = results() / "coverage"
SAMPLES = OUT / "samples"
EXPLAINED = Path(__file__).parent / "explained.json"

Bin = tuple[str, str]


@dataclass(frozen=True)
class Goal:
    """A cross of two axes.

    Attributes
    ----------
    name, axes : of the cross, and of its two axes
    values : the values of each axis
    impossible : combinations that cannot be, and why
    probe : bins in the order of the counters of the probe that samples them, lowest bits first
    """

    name: str
    axes: tuple[str, str]
    values: tuple[tuple[str, ...], tuple[str, ...]]
    impossible: Mapping[Bin, str] = field(default_factory=dict)
    probe: tuple[Bin, ...] = ()

    @property
    def bins(self) -> list[Bin]:
        """All combinations that can be."""
        pairs = [(a, b) for a in self.values[0] for b in self.values[1]]
        return [pair for pair in pairs if pair not in self.impossible]


def _cross(name, axes, values, impossible=None, *, second_first=False):
    """A goal whose probe counts all combinations: the second axis within the first, or not."""
    if second_first:
        probe = tuple((a, b) for b in values[1] for a in values[0])
    else:
        probe = tuple((a, b) for a in values[0] for b in values[1])
    return Goal(name, axes, values, impossible or {}, probe)


_DISTANCES = ("1", "2", "3", "none")
_GAPS = ("no gap", "gap")
_TOKENS = ("END", "CREDIT", "hold", "go")
_PORTS = tuple(port.name for port in Port)
_NOT_BESIDE = "nothing fits between neighbours"
_NO_TURN = "dimension order: hdl/noc/router.py has no such turn"

HARDWARE_GOALS = (
    Goal(
        "forward",
        ("distance to the same word", "cycles between"),
        (_DISTANCES, _GAPS),
        {("1", "gap"): _NOT_BESIDE, ("none", "gap"): "there is no distance"},
        (
            ("1", "no gap"),
            ("2", "no gap"),
            ("2", "gap"),
            ("3", "no gap"),
            ("3", "gap"),
            ("none", "no gap"),
        ),
    ),
    Goal(
        "overflow",
        ("event", "where"),
        (("wrapped",), ("accumulator",)),
        probe=(("wrapped", "accumulator"),),
    ),
    _cross("queue", ("spikes wait", "token"), (("none", "some", "half", "full"), _TOKENS)),
    _cross(
        "end",
        ("cycles from the last spike to END", "spikes wait"),
        (("1", "2", "3", "4 to 7", "8 to 15", "more"), ("none", "some")),
        {
            ("1", "none"): "a spike takes two cycles through the queue",
            ("2", "none"): "a spike takes two cycles through the queue",
        },
        second_first=True,
    ),
    _cross(
        "pace",
        ("flit to sources", "besides"),
        (("CREDIT", "hold", "go"), ("nothing", "the other is due")),
    ),
    _cross(
        "turns",
        ("to", "from"),
        (_PORTS, _PORTS),
        {
            (out.name, source.name): _NO_TURN
            for source in Port
            for out in Port
            if out not in TURNS[source]
        },
        second_first=True,
    ),
)
PROBES = {goal.name: goal for goal in HARDWARE_GOALS}
ENDS = ("low", "high")


def field_ranges(params: ChipParams) -> dict[str, tuple[int, int]]:
    """The least and the largest value of each field of each descriptor that has a meaning."""
    formats = Formats(params)
    ranges = {}
    for memory in Memory:
        if memory is not Memory.CONTROL:
            for name, _, width in formats.memory(memory)[0]:
                ranges[f"{memory.name}.{name}"] = (0, (1 << width) - 1)
    for register, layout in _registers(formats).items():
        for name, _, width in layout:
            ranges[f"{register.name}.{name}"] = (0, (1 << width) - 1)
    lane_names = [name for name in ranges if name.startswith(("REQUANT.", "WEIGHT."))]
    for name in lane_names:
        del ranges[name]
    for name, _, width in formats.requant_lane:
        ranges[f"REQUANT.{name}"] = (0, (1 << width) - 1)
    ranges |= {
        "WEIGHT.weight": (-127, 127),
        "REQUANT.bias": (-(1 << 31), (1 << 31) - 1),
        "REQUANT.shift": (0, 47),
        "TABLE_C.count": (0, params.n_blocks),
        "TABLE_Y.count": (0, params.n_acc_words),
        "TABLE_X.count": (0, params.n_acc_words),
        "FIRE.count": (0, params.n_destinations),
        "MODE.bits": (2, 8),
        "END_LIST.count": (1, params.n_destinations),
        "CREDIT_LIST.count": (0, params.n_destinations),
    }
    return ranges


def _registers(formats):
    return {
        Control.MODE: formats.mode,
        Control.END_LIST: formats.token_list,
        Control.CREDIT_LIST: formats.token_list,
    }


def field_goal(params: ChipParams) -> Goal:
    """Every field of every descriptor at both ends of its range."""
    return Goal("fields", ("field", "end"), (tuple(field_ranges(params)), ENDS))


def program_fields(program) -> Counter[Bin]:
    """How often each field of a program's memory images is at an end of its range."""
    params = program.params
    formats, ranges = Formats(params), field_ranges(params)
    found: Counter[Bin] = Counter()

    def see(name, value):
        for end, limit in zip(ENDS, ranges[name], strict=True):
            found[name, end] += value == limit

    for core in program.cores:
        for memory, words in core.memories.items():
            numbers = [sum(int(c) << 32 * i for i, c in enumerate(word)) for word in words]
            if memory is Memory.CONTROL:
                for register, layout in _registers(formats).items():
                    for name, value in layout.unpack(numbers[register]).items():
                        see(f"{register.name}.{name}", value)
            elif memory is Memory.WEIGHT:
                for value in words.view("int8").reshape(-1).tolist():
                    see("WEIGHT.weight", value)
            elif memory is Memory.REQUANT:
                width = formats.requant_lane.width
                for number in numbers:
                    for lane in range(params.soma_lanes):
                        lane_word = number >> lane * width & (1 << width) - 1
                        for name, value in formats.requant_lane.unpack(lane_word).items():
                            is_negative = name == "bias" and value >> 31
                            see(f"REQUANT.{name}", value - (1 << 32) * bool(is_negative))
            else:
                layout = formats.memory(memory)[0]
                for number in set(numbers):
                    for name, value in layout.unpack(number).items():
                        see(f"{memory.name}.{name}", value)
    return found


def probe_bins(goal: Goal, hits: int) -> Counter[Bin]:
    """Bins and their counts from the counters of a probe, 32 bits each."""
    return Counter({pair: hits >> 32 * i & 0xFFFFFFFF for i, pair in enumerate(goal.probe)})


def write_samples(path: Path, counts: Mapping[str, Mapping[Bin, int]]) -> None:
    """Keeps what a run has seen: of each goal, bins and how often."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {
        goal: [[*pair, n] for pair, n in sorted(bins.items()) if n] for goal, bins in counts.items()
    }
    path.write_text(json.dumps(found) + "\n")


def make_samplers(goals: Iterable[Goal]) -> dict[str, Callable[[str, str], None]]:
    """Registers the goals with cocotb-coverage, anew; a function samples each."""
    samplers = {}
    for goal in goals:
        # The library keeps one data base for a process.
        for name in [name for name in coverage_db if name.partition(".")[0] == goal.name]:
            del coverage_db[name]
        points = [f"{goal.name}.{axis}" for axis in ("first", "second")]
        first, second = (
            CoverPoint(point, xf=lambda a, b, k=k: (a, b)[k], bins=list(values))
            for k, (point, values) in enumerate(zip(points, goal.values, strict=True))
        )
        cross = CoverCross(f"{goal.name}.cross", items=points, ign_bins=list(goal.impossible))

        @coverage_section(first, second, cross)
        def sample(a, b):
            pass

        samplers[goal.name] = sample
    return samplers


def cross_hits(goal: Goal) -> dict[Bin, int]:
    """What the library has counted of a goal."""
    return dict(coverage_db[f"{goal.name}.cross"].detailed_coverage)
