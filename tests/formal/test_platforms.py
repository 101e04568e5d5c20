# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Both forms of a component, for gates and for a processor, give the same in every cycle.

The twins, of which one reads an input a cycle late, must be refuted.
"""

import pytest
from amaranth.hdl import Assert, Assume, Fragment, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, In

from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.routing import Port
from stemcore.hdl.core.accumulate import AccumulateLanes, AccumulateLoop
from stemcore.hdl.core.dendrite import ShiftLanes
from stemcore.hdl.noc.router import RouteMask
from stemcore.hdl.platforms import PROCESSOR
from tests.support.formal import prove, refute

pytestmark = pytest.mark.sim

TINY = get_preset("tiny")


class SameForms(wiring.Component):
    """Two components, elaborated for gates and for a processor, whose inputs are one.

    Parameters
    ----------
    make : callable
        Makes the component.
    late : str or None
        An input that the second reads a cycle after the first.
    assume : callable or None
        From a component, the condition on how its ports are used.
    """

    def __init__(self, make, late=None, assume=None):
        self._make, self._late, self._assume = make, late, assume
        members = make().signature.members
        super().__init__({n: In(m.shape) for n, m in members.items() if m.flow == Flow.In})

    def elaborate(self, platform):
        m = Module()
        forms = [self._make(), self._make()]
        for component, form in zip(forms, (None, PROCESSOR), strict=True):
            m.submodules += Fragment.get(component, form)
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
        return m


def uses_idle_loop(loop):
    return loop.idle | ~(loop.clear | loop.update_read)


CASES = {
    **{
        f"route_mask_{port.name.lower()}": (
            lambda port=port: RouteMask(params=TINY, arrived_from=port),
            "flit",
            "prove",
            3,
            None,
        )
        for port in Port
    },
    "shift_lanes": (lambda: ShiftLanes(shift_width=4, n_lanes=2), "shift", "prove", 8, None),
    "accumulate_lanes": (lambda: AccumulateLanes(width=5, n_lanes=2), "add", "bmc", 8, None),
    "accumulate_loop": (
        lambda: AccumulateLoop(n_words=2, n_lanes=2, width=2),
        "valid",
        "bmc",
        9,
        uses_idle_loop,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_forms_are_the_same(name):
    make, _, mode, depth, assume = CASES[name]
    prove(SameForms(make, assume=assume), f"forms_{name}", depth=depth, mode=mode)


@pytest.mark.parametrize("name", CASES)
def test_a_form_that_is_late_is_refuted(name):
    make, late, _, depth, assume = CASES[name]
    refute(SameForms(make, late=late, assume=assume), f"forms_{name}_late", depth=depth)
