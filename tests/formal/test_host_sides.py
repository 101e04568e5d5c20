# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs at the ports of whole host sides: every bus and stream of each keeps its handshake."""

import pytest
from amaranth.hdl import Assert, ClockSignal, Module
from amaranth.lib import wiring

from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.host import axi_host, window
from tests.support.formal import anything, keeps, planted, prove, refute

pytestmark = pytest.mark.sim

SIZES = {"params": get_preset("tiny"), "columns": 2, "rows": 2}
# Of the channels of each kind of bus: valid, ready, and what must stay.
LITE = (
    ("awvalid", "awready", ("awaddr",)),
    ("wvalid", "wready", ("wdata", "wstrb")),
    ("bvalid", "bready", ("bresp",)),
    ("arvalid", "arready", ("araddr",)),
    ("rvalid", "rready", ("rdata", "rresp")),
)
STREAM = (("tvalid", "tready", ("tdata", "tkeep", "tlast")),)


def offers(component):
    """Channels of AXI on which ``component`` offers something: valid, ready, and what must stay."""
    found = []
    for name, member in component.signature.members.items():
        for channel, ready, payload in (*LITE, *STREAM):
            if member.is_signature and channel in member.signature.members:
                port = getattr(component, name)
                if port.signature.members[channel].flow.name == "Out":
                    names = (channel, ready, *payload)
                    found.append([getattr(port, signal) for signal in names])
    return found


class PortsKeepTheirHandshakes(wiring.Component):
    """Whatever comes at its ports, what a host side offers on a bus stays until it is taken.

    The exception is that of its documentation: CLEAR takes the beat that the window offers. The
    chip's clock is the host's here.
    """

    def __init__(self, module, name, *faults, **options):
        self._part = getattr(planted(module, *faults), name)(**options)
        self.offers = offers(self._part)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        part = self._part
        m.submodules.part = part.elaborate(platform)
        anything(
            m,
            *(
                value
                for path, member, value in part.signature.flatten(part)
                if member.flow.name == "In" and path != ("chip_clk",)
            ),
        )
        if "chip_clk" in part.signature.members:
            m.d.comb += part.chip_clk.eq(ClockSignal())
        cleared = getattr(part, "cleared", 0)
        for valid, ready, *payload in self.offers:
            keeps(m, Assert, valid, ready | cleared, *payload)
        return m


# CLEAR as the window sees it, which is no port of it.
CLEAR = "clear = registers.clear.clear"
PROBE = CLEAR, f"{CLEAR}; self.cleared = clear"
HOSTS = {
    "axi_32": (axi_host, "AxiHost", (), {**SIZES, "register_width": 32, "stream_width": 32}, 3),
    "axi_64": (axi_host, "AxiHost", (), {**SIZES, "register_width": 64, "stream_width": 64}, 3),
    "mapped": (window, "MappedHost", (), SIZES, 4),
    "window": (window, "StreamWindow", (PROBE,), {}, 3),
}


@pytest.mark.parametrize("host", HOSTS)
def test_ports_keep_their_handshakes(host):
    module, name, probes, options, n_channels = HOSTS[host]
    component = PortsKeepTheirHandshakes(module, name, *probes, **options)
    assert len(component.offers) == n_channels
    prove(component, f"ports_{host}", mode="prove", depth=2, sizes="2 x 2 nodes of preset tiny")


REGISTERS = "connect(m, flipped(self.registers), registers.bus)"
WINDOW = "connect(m, flipped(self.window), window.bus)"
FAULTS = {
    "axi_32": (
        REGISTERS,
        f"{REGISTERS}; m.d.comb += self.registers.rdata.eq(registers.bus.rdata ^ self.chip_quiet)",
    ),
    "mapped": (
        WINDOW,
        f"{WINDOW}; m.d.comb += self.window.bvalid.eq(window.bus.bvalid & ~self.chip_quiet)",
    ),
    "window": (
        "self.o.tdata.eq(to_chip.r_data)",
        "self.o.tdata.eq(to_chip.r_data ^ self.i.tvalid)",
    ),
}


@pytest.mark.parametrize("host", FAULTS)
def test_faults_of_ports_are_found(host):
    module, name, probes, options, _ = HOSTS[host]
    component = PortsKeepTheirHandshakes(module, name, *probes, FAULTS[host], **options)
    refute(component, f"ports_{host}_fault", depth=10)
