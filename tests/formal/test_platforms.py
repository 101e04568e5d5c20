# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Both forms of a component, for gates and for a processor, give the same in every cycle.

The twins, of which one reads an input a cycle late, must be refuted.
"""

import pytest
from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, In

from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.routing import Port
from stemcore.hdl.core import accumulate
from stemcore.hdl.core.accumulate import AccumulateLanes
from stemcore.hdl.core.dendrite import ShiftLanes
from stemcore.hdl.noc.router import RouteMask
from stemcore.hdl.platforms import PROCESSOR
from tests.support.formal import inner_signal, planted, prove, refute

pytestmark = pytest.mark.sim

TINY = get_preset("tiny")
FORMS = (None, PROCESSOR)
N_WORDS, N_LANES, WIDTH = 4, 2, 4
SIZES = f"{N_LANES} lanes of {WIDTH} bits"


class SameForms(wiring.Component):
    """A component for gates, and for a processor: from the same inputs, the same outputs.

    In every cycle, whatever the inputs are, within the condition on how the ports are used.

    Parameters
    ----------
    make : callable
        Makes the component, given the form in which it is to be elaborated.
    late : str or None
        An input that the second reads a cycle after the first.
    assume : callable or None
        From a component, the condition on how its ports are used.
    tell : callable or None
        From the modules of both, what their states have in common, for the induction.
    """

    def __init__(self, make, late=None, assume=None, tell=None):
        self._make, self._late, self._assume, self._tell = make, late, assume, tell
        members = make(None).signature.members
        super().__init__({n: In(m.shape) for n, m in members.items() if m.flow == Flow.In})

    def elaborate(self, platform):
        m = Module()
        forms = [self._make(form) for form in FORMS]
        modules = [block.elaborate(form) for block, form in zip(forms, FORMS, strict=True)]
        m.submodules += modules
        for name, member in forms[0].signature.members.items():
            ports = [getattr(component, name) for component in forms]
            ports = [port.as_value() if hasattr(port, "as_value") else port for port in ports]
            if member.flow == Flow.Out:
                m.d.comb += Assert(ports[0] == ports[1])
                continue
            received = getattr(self, name)
            received = received.as_value() if hasattr(received, "as_value") else received
            m.d.comb += ports[0].eq(received)
            if name == self._late:
                last = Signal.like(received, name="late_input")
                m.d.sync += last.eq(received)
                received = last
            m.d.comb += ports[1].eq(received)
        if self._assume is not None:
            m.d.comb += Assume(self._assume(forms[0]))
        if self._tell is not None:
            m.d.comb += [Assert(condition) for condition in self._tell(*modules)]
        return m


def make_loop(form):
    """An accumulate loop whose lanes can be looked into."""
    module = planted(accumulate)

    class OpenLanes(module.AccumulateLanes):
        def __init__(self, **sizes):
            super().__init__(**sizes)
            self.module = super().elaborate(form)

        def elaborate(self, platform):
            return self.module

    module.AccumulateLanes = OpenLanes
    return module.AccumulateLoop(n_words=N_WORDS, n_lanes=N_LANES, width=WIDTH)


def are_equal(gates, processor, names):
    """Registers of these names are."""
    return [inner_signal(gates, name) == inner_signal(processor, name) for name in names]


def same_lanes(gates, processor):
    """Lanes hold the same. Gates keep of a sum that it has wrapped; a processor, the whole word."""
    names = ["read_v", "word_v", "add_v", "store_v", "late", "is_forwarded"]
    kept = ("fetched", "forwarded", "word", "addend", "latest", "previous")
    names += [f"{name}_{i}" for name in kept for i in range(N_LANES)]
    wraps = [
        inner_signal(gates, f"wraps_{i}")[-1] == inner_signal(processor, f"wraps_{i}")[-1]
        for i in range(N_LANES)
    ]
    return [*are_equal(gates, processor, names), *wraps]


def same_loops(gates, processor):
    """Pipelines and lanes hold the same, and so do memories, in which lanes lie differently."""
    names = ["zeroed", "forward_late", "forward_middle", *(f"hit_{k}" for k in range(1, 5))]
    names += [f"{name}_{k}" for name in ("valid", "address") for k in range(1, 7)]
    found = are_equal(gates, processor, names)
    found += same_lanes(*(m.submodules.lanes_0.module for m in (gates, processor)))
    for address in range(N_WORDS):
        words = []
        for module in (gates, processor):
            look = module.submodules.ram.read_port(domain="comb")
            module.d.comb += look.addr.eq(address)
            stride = len(look.data) // N_LANES
            words.append([look.data[i * stride :][:WIDTH] for i in range(N_LANES)])
        found += [a == b for a, b in zip(*words, strict=True)]
    return found


def uses_idle_loop(loop):
    return loop.idle | ~(loop.clear | loop.update_read)


CASES = {
    **{
        f"route_mask_{port.name.lower()}": (
            lambda form, port=port: RouteMask(params=TINY, arrived_from=port),
            {"late": "flit", "depth": 3, "sizes": "full width"},
        )
        for port in Port
    },
    "shift_lanes": (
        lambda form: ShiftLanes(shift_width=4, n_lanes=2),
        {"late": "shift", "depth": 8, "sizes": "full width, 2 lanes"},
    ),
    "accumulate_lanes": (
        lambda form: AccumulateLanes(width=WIDTH, n_lanes=N_LANES),
        {"late": "add", "depth": 2, "tell": same_lanes, "sizes": SIZES},
    ),
    "accumulate_loop": (
        make_loop,
        {
            "late": "valid",
            "depth": 2,
            "assume": uses_idle_loop,
            "tell": same_loops,
            "sizes": f"{N_WORDS} words of {SIZES}",
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_forms_are_the_same(name):
    make, case = CASES[name]
    component = SameForms(make, assume=case.get("assume"), tell=case.get("tell"))
    sizes, depth = case["sizes"], case["depth"]
    prove(component, f"forms_{name}", depth=depth, mode="prove", sizes=sizes)


@pytest.mark.parametrize("name", CASES)
def test_a_form_that_is_late_is_refuted(name):
    make, case = CASES[name]
    component = SameForms(make, late=case["late"], assume=case.get("assume"))
    refute(component, f"forms_{name}_late", depth=9)
