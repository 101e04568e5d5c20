# SPDX-License-Identifier: Apache-2.0
"""The neuron core: everything of a node but its router."""

from amaranth import Cat, Module, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect

from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.routing import LINKS

from ..layouts import flit_stream
from ..noc.queue import FlitQueue, FlitRegister
from ..platforms import PROCESSOR
from .axon_in import AxonIn
from .axon_out import AxonOut
from .configuration import BLOCKS, Configuration
from .control import Control
from .dendrite import Dendrite
from .error_register import ErrorRegister
from .flow_control import FlowControl
from .ingress import Egress, EntryQueue, Ingress
from .neurons import make_soma
from .ranges import Ranges
from .spike_queue import SpikeQueue
from .watchdog import Watchdog

# One bit for each part of a core that may be clocked on its own.
AWAKE = data.StructLayout(
    {"configuration": 1, "axon_in": 1, "dendrite": 1, "soma": 1, "axon_out": 1}
)


class Core(wiring.Component):
    """Wires the blocks of a core together; hdl/README.md shows how.

    Members
    -------
    i : ``In(flit_stream)``
        From the router.
    o : ``Out(flit_stream)``
        To the router; depends on registers only.
    x, y : ``In``
        Coordinates of this node, for the host's eyes.
    stray : ``In(1)``
        The router has dropped a flit that goes nowhere, or out of the mesh.
    hops : ``In(range(5))``
        Links to which the router passed a spike, for the counter.
    quiet : ``Out(1)``
        No register will change before a flit arrives, but for those that follow a control register
        a cycle later; in a cycle so close to its write nobody uses them. Its parts are known late
        in a cycle: on FPGAs it rises a cycle late, from registers, in simulators on processors at
        once.
    awake : ``Out(AWAKE)``
        Where a bit has been low in this cycle and the three before it, no register of that block
        changes: a simulator may withhold its clock. ``configuration`` includes the write ports of
        all configured memories, and the low bits of ``axon_in`` to ``axon_out`` leave those out.
        The rest of the core is small and always at work unless ``quiet``.
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        super().__init__(
            {
                "i": In(flit_stream(params)),
                "o": Out(flit_stream(params)),
                "x": In(params.coord_width),
                "y": In(params.coord_width),
                "stray": In(1),
                "hops": In(range(len(LINKS) + 1)),
                "quiet": Out(1),
                "awake": Out(AWAKE),
            }
        )

    def elaborate(self, platform):
        m = Module()
        params = self._params
        # Registers between router and core: what a flit is decides whether the core takes it, and
        # the router's choice must not wait for that within a cycle.
        m.submodules.entry = entry = EntryQueue(params=params)
        m.submodules.ingress = ingress = Ingress(params=params)
        spikes = SpikeQueue(params=params)
        flow = FlowControl(params=params)
        axon_in = AxonIn(params)
        dendrite = Dendrite(params)
        soma = make_soma(params)
        axon_out = AxonOut(params)
        egress = Egress(params=params)
        # Axon-out learns from a register whether it may go on: merging comes between two queues.
        leaving = FlitQueue(shape=self.o.payload.shape(), depth=2)
        m.submodules.control = control = Control(params=params)
        m.submodules.configuration = configuration = Configuration(params=params)
        m.submodules.ranges = ranges = Ranges(params=params)
        m.submodules.error_register = errors = ErrorRegister(params=params)
        # STOP resets what works on samples. Flits that come, and answers on their way, stay.
        for name, block in (
            ("spikes", spikes),
            ("flow", flow),
            ("axon_in", axon_in),
            ("dendrite", dendrite),
            ("soma", soma),
            ("axon_out", axon_out),
            ("egress", egress),
            ("leaving", leaving),
            ("watchdog_timer", watchdog := Watchdog()),
        ):
            m.submodules[name] = ResetInserter(control.stop)(block)
        # The router works out the way of a flit as it enters; merging takes as long.
        m.submodules.exit = exit_ = FlitRegister(shape=self.o.payload.shape())

        # Flits, from the router and back to it.
        connect(m, wiring.flipped(self.i), entry.i)
        connect(m, entry=entry.o, ingress=ingress.i)
        connect(m, ingress=ingress.spike, queue=spikes.i)
        m.d.comb += [
            ingress.verdict.eq(entry.verdict),
            spikes.keep.eq(ingress.keep),
            configuration.keep.eq(ingress.keep_config),
        ]
        connect(m, queue=spikes.o, axon_in=axon_in.i)
        connect(m, ingress=ingress.config, configuration=configuration.i)
        connect(m, flow=flow.o, egress=egress.flow)
        connect(m, axon_out=axon_out.o, leaving=leaving.i)
        connect(m, leaving=leaving.o, egress=egress.fire)
        connect(m, configuration=configuration.reply, egress=egress.reply)
        connect(m, egress=egress.o, exit=exit_.i)
        connect(m, exit_.o, wiring.flipped(self.o))
        # Operations, accumulator words, activation words.
        m.d.comb += [dendrite.op.eq(axon_in.op), dendrite.op_valid.eq(axon_in.op_valid)]
        connect(m, soma=soma.accumulators, dendrite=dendrite.accumulators)
        connect(m, soma=soma.words, axon_out=axon_out.words)

        blocks = {
            "control": control,
            "axon_in": axon_in,
            "dendrite": dendrite,
            "soma": soma,
            "axon_out": axon_out,
        }
        self._configure(m, configuration, blocks, ranges, ingress)
        self._command(m, control, soma, axon_out)
        self._control_flow(m, control, flow, ingress, spikes, axon_out)
        self._report(m, control, ingress, spikes, flow, axon_in, dendrite, soma, axon_out)
        self._watch(m, control, ingress, configuration, errors, watchdog)
        self._guard(m, control, ingress, spikes, watchdog, flow, soma, axon_out)

        self._awake(
            m, configuration, ingress, control, spikes, flow, axon_in, dendrite, soma, axon_out
        )
        at_rest = Signal(4)
        m.d.comb += at_rest.eq(
            Cat(
                control.waiting,
                entry.idle & ~(leaving.o.valid | exit_.o.valid),
                spikes.quiet & flow.idle & axon_in.idle & dendrite.idle & ~soma.busy,
                ~axon_out.busy & configuration.idle & errors.idle & watchdog.idle,
            )
        )
        self._drive_quiet(m, platform, at_rest)
        return m

    def _drive_quiet(self, m, platform, at_rest):
        """``quiet``, of states of the blocks, all of which must be set."""
        if platform == PROCESSOR:
            m.d.comb += self.quiet.eq(at_rest.all())
            return
        # What was at rest while nothing came is so still.
        was_at_rest = Signal.like(at_rest)
        nothing_came = Signal()
        m.d.sync += [was_at_rest.eq(at_rest), nothing_came.eq(~self.i.valid & ~self.stray)]
        m.d.comb += self.quiet.eq(was_at_rest.all() & nothing_came)

    @staticmethod
    def _configure(m, configuration, blocks, ranges, ingress):
        """The bus of configuration and the answers to it; ranges are configured like the rest."""
        for name in BLOCKS:
            connect(m, configuration=configuration.bus, block=blocks[name].config)
            m.d.comb += getattr(configuration, f"read_{name}").eq(blocks[name].read_chunk)
        connect(m, configuration=configuration.bus, ranges=ranges.config)
        m.d.comb += [
            ranges.spike.eq(ingress.spike.payload),
            ingress.is_inside.eq(ranges.inside),
        ]

    def _awake(
        self, m, configuration, ingress, control, spikes, flow, axon_in, dendrite, soma, axon_out
    ):
        """Which blocks may change at the next clock edge."""
        is_configured = Signal()
        m.d.comb += [
            is_configured.eq(configuration.bus.write | configuration.bus.read),
            self.awake.configuration.eq(ingress.config.valid | is_configured | ~configuration.idle),
            self.awake.axon_in.eq(is_configured | spikes.o.valid | ~axon_in.idle),
            self.awake.dendrite.eq(
                is_configured
                | axon_in.op_valid
                | ~dendrite.idle
                | control.update_pass
                | control.clear_all
                | soma.busy
            ),
            self.awake.soma.eq(is_configured | control.update_pass | control.clear_all | soma.busy),
            self.awake.axon_out.eq(
                is_configured | soma.busy | control.fire | ~flow.idle | axon_out.busy
            ),
        ]

    @staticmethod
    def _command(m, control, soma, axon_out):
        """What control tells soma and axon-out: commands, and the registers that they obey."""
        m.d.comb += [
            soma.start.eq(control.update_pass),
            soma.clear_all.eq(control.clear_all),
            soma.n_update.eq(control.n_update),
            soma.mode.eq(control.mode),
            soma.constants.eq(control.constants),
            soma.period.eq(control.period),
            soma.is_last_period.eq(control.is_last_period),
            axon_out.fire.eq(control.fire),
            axon_out.t.eq(control.plane),
            axon_out.n_fire.eq(control.n_fire),
            axon_out.bits.eq(control.mode.bits),
            axon_out.gap.eq(control.mode.gap),
            axon_out.end_list.eq(control.end_list),
        ]

    @staticmethod
    def _control_flow(m, control, flow, ingress, spikes, axon_out):
        """What may be sent, here and by the sources; flow control reads axon-out's destinations."""
        m.d.comb += [
            flow.grant.eq(control.grant),
            ingress.may_spike.eq(control.may_spike),
            ingress.may_credit.eq(control.may_credit),
            ingress.may_hold.eq(flow.may_hold),
            ingress.may_go.eq(flow.may_go),
            flow.hold.eq(ingress.hold),
            flow.go.eq(ingress.go),
            flow.asks_hold.eq(ingress.asks_hold),
            flow.is_high.eq(spikes.is_high),
            flow.is_low.eq(spikes.is_low),
            flow.credit_list.eq(control.credit_list),
            flow.borrowed.eq(axon_out.borrowed),
            axon_out.borrow.eq(flow.borrow),
            axon_out.borrow_address.eq(flow.borrow_address),
            axon_out.held.eq(flow.held),
        ]

    def _report(self, m, control, ingress, spikes, flow, axon_in, dendrite, soma, axon_out):
        """What control gets from the others: tokens, states, events to count."""
        m.d.comb += [
            control.end.eq(ingress.end),
            control.credit.eq(ingress.credit),
            control.axon_idle.eq(axon_in.idle & spikes.idle),
            control.dendrite_idle.eq(dendrite.idle),
            control.soma_busy.eq(soma.busy),
            control.granting.eq(flow.granting),
            control.fire_busy.eq(axon_out.busy),
            control.op_valid.eq(axon_in.op_valid),
            control.op_lanes.eq(axon_in.op.n_lanes),
            control.spike_in.eq(ingress.spike.valid & ingress.spike.ready),
            control.keep_spike.eq(ingress.keep),
            control.sent.eq(axon_out.sent),
            control.fired.eq(axon_out.fired),
            control.hops.eq(self.hops),
            control.stalled.eq(axon_in.stalled),
            control.overflow.eq(dendrite.overflow),
        ]

    def _watch(self, m, control, ingress, configuration, errors, watchdog):
        """Errors, from where they are seen to their register."""
        m.d.comb += [
            configuration.at_work.eq(control.at_work),
            configuration.alert.eq(errors.alert),
            errors.alerted.eq(configuration.alerted),
            errors.x.eq(self.x),
            errors.y.eq(self.y),
            errors.valid.eq(ingress.i.valid),
            errors.flit.eq(ingress.i.payload),
            errors.clear.eq(configuration.bus.commands.clear_errors),
            errors.keep.eq(ingress.keep),
            errors.causes.eq(
                ingress.causes
                | (self.stray << Error.OUTSIDE)
                | (watchdog.expired << Error.STANDSTILL)
            ),
            errors.late_causes.eq(configuration.causes),
            control.errors.eq(errors.errors),
            control.first_error.eq(errors.first),
        ]

    @staticmethod
    def _guard(m, control, ingress, spikes, watchdog, flow, soma, axon_out):
        """What tells the watchdog that something goes on, and what control shows of waiting."""
        m.d.comb += [
            control.held.eq(flow.held),
            watchdog.setting.eq(control.watchdog),
            watchdog.due.eq(control.due),
            # Tokens are known later than the rest, and each as late as it is by itself.
            watchdog.progress.eq(
                Cat(
                    (spikes.o.valid & spikes.o.ready)
                    | (flow.o.valid & flow.o.ready)
                    | (axon_out.o.valid & axon_out.o.ready)
                    | control.op_valid
                    | soma.busy,
                    *(ingress.end, ingress.credit, ingress.hold, ingress.go),
                )
            ),
        ]
