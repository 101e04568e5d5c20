# SPDX-License-Identifier: Apache-2.0
"""Control of a core: registers, tokens, and the counters."""

from dataclasses import dataclass

from amaranth import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.errors import WATCHDOG_WIDTH
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.neuron_model import TokenPeriod
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.registers import N_CONTROL
from stemcore.golden.spec.registers import Control as Register
from stemcore.golden.spec.routing import LINKS
from stemcore.golden.spec.widths import BITS_WIDTH, CHUNK_WIDTH, T_WIDTH, bits_for

from ..layouts import ConfigBus, neuron_constants, struct
from .counters import add_counters
from .memory import pick

GROUP_BITS = 3  # registers that are read by a multiplexer of the first stage: 8


@dataclass(frozen=True)
class _Tokens:
    """What the phases of a core wait for, and what they use up; all strobes and states."""

    start: Signal
    stop: Signal
    running: Signal
    complete: Signal  # all ENDs
    permitted: Signal  # all CREDITs
    drained: Signal
    settled: Signal
    use_ends: Signal
    use_credits: Signal


class Control(wiring.Component):
    """Runs a core through the life of a sample (hdl/README.md) and keeps its registers.

    A sample is complete when ``n_sources`` ENDs are there; it is updated once the accumulate
    pipeline is empty and axon-out has fired the sample before. After the update pass the core
    grants CREDIT, and fires as soon as it holds ``n_destinations`` CREDITs. Counters are 32 bits
    wide and wrap, the SOP counter has 48 bits. A CREDIT is granted only when the one before has
    been sent. Registers keep as many of the 32 bits written as they have.

    ``stop`` brings everything here but registers, counters and errors to the state of a reset, and
    is to do so in the blocks too.

    Where the neuron model's token period is the time step, all this holds for time steps: each is
    updated, granted and fired by itself, and only the update pass of a sample's last step waits
    until all steps of the sample before have been fired.

    Members
    -------
    config : ``In(ConfigBus())``
    read_chunk : ``Out(32)``
        Answer to the last ``config.read`` of CONTROL, as registers were in the cycle after it; from
        the third cycle after it on.
    end, credit : ``In(1)``
        A token has arrived. Only if it may.
    may_spike, may_credit : ``Out(1)``
        Spikes and ENDs of the period are due; a CREDIT is.
    stop, at_work : ``Out(1)``
        Command to all blocks; the core runs, or begins to.
    watchdog, due : ``Out``
        Register; something has begun that ends by what others do.
    errors, first_error, held : ``In``
        What the registers ERRORS, ERROR_FLIT and STATUS show.
    axon_idle, dendrite_idle, soma_busy, granting, fire_busy : ``In(1)``
        States of the other blocks.
    update_pass, clear_all, fire, grant : ``Out(1)``
        Commands, one cycle each, to a block that is not busy.
    n_update, n_fire, mode, end_list, credit_list : ``Out``
        Registers, as ``stemcore.golden.spec.fields.Control`` lists them.
    constants : ``Out``
        The register INTEGRATION, of the neuron model's fields.
    period, is_last_period : ``Out``
        The token period of the sample that accumulates, and whether it is the sample's last.
    plane : ``Out``
        With ``fire``: the first time step of the period to fire.
    op_valid, op_lanes, spike_in, sent, fired, hops, stalled, overflow : ``In``
        Events to count.
    keep_spike : ``In(1)``
        Whether ``spike_in`` counts. It may come later in the cycle.
    waiting : ``Out(1)``
        Nothing to do before the next token or command; one that is just written is still to come.
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        self._formats = formats = Formats(params)
        super().__init__(
            {
                "config": In(ConfigBus()),
                "read_chunk": Out(CHUNK_WIDTH),
                "end": In(1),
                "credit": In(1),
                "may_spike": Out(1),
                "may_credit": Out(1),
                "stop": Out(1),
                "at_work": Out(1),
                "watchdog": Out(WATCHDOG_WIDTH),
                "due": Out(1),
                "errors": In(struct(formats.errors)),
                "first_error": In(struct(formats.flit)),
                "held": In(1),
                "axon_idle": In(1),
                "dendrite_idle": In(1),
                "soma_busy": In(1),
                "granting": In(1),
                "fire_busy": In(1),
                "update_pass": Out(1),
                "clear_all": Out(1),
                "fire": Out(1),
                "grant": Out(1),
                "n_update": Out(params.update_address_width + 1),
                "n_fire": Out(params.fire_address_width + 1),
                "mode": Out(struct(formats.mode)),
                "end_list": Out(struct(formats.token_list)),
                "credit_list": Out(struct(formats.token_list)),
                "op_valid": In(1),
                "op_lanes": In(params.lane_width),
                "spike_in": In(1),
                "keep_spike": In(1, init=1),
                "sent": In(1),
                "fired": In(params.lane_width + 1),
                "hops": In(range(len(LINKS) + 1)),
                "stalled": In(1),
                "overflow": In(1),
                "waiting": Out(1),
                "constants": Out(neuron_constants(params)),
                "period": Out(BITS_WIDTH),
                "is_last_period": Out(1),
                "plane": Out(T_WIDTH),
            }
        )

    def elaborate(self, platform):
        m = Module()
        n_sources = Signal(self._params.token_width)
        n_destinations = Signal(self._params.token_width)
        start = Signal()  # a cycle late: decoding a write and clearing a core take one each
        running = Signal()
        clear_counters = Signal()
        registers = {
            Register.N_SOURCES: n_sources,
            Register.N_DESTINATIONS: n_destinations,
            Register.N_UPDATE: self.n_update,
            Register.N_FIRE: self.n_fire,
            Register.MODE: self.mode,
            Register.END_LIST: self.end_list,
            Register.CREDIT_LIST: self.credit_list,
            Register.WATCHDOG: self.watchdog,
        }
        if self._params.model.register:
            registers[Register.INTEGRATION] = self.constants
        writing = self._write(m, registers, start, running, clear_counters)

        use_ends = Signal()
        use_credits = Signal()
        n_ends, has_ends = self._count_up(m, "ends", self.end, n_sources, use_ends)
        n_credits, all_credits = self._count_up(
            m, "credits", self.credit, n_destinations, use_credits
        )
        all_ends = Signal()
        m.d.comb += [all_ends.eq(has_ends & running), self.may_credit.eq(~all_credits)]
        tokens = self._watch_tokens(
            m, start, running, writing, all_ends, all_credits, use_ends, use_credits
        )
        accumulates, unfired = self._run(m, tokens)

        # What comes late in a cycle is counted in the next.
        offered = Signal()
        kept = Signal()
        came = Signal()
        begun = Signal()
        m.d.sync += offered.eq(self.spike_in)
        with m.If(self.spike_in):
            m.d.sync += kept.eq(self.keep_spike)
        m.d.comb += [
            came.eq(offered & kept),
            self.may_spike.eq(accumulates & ~all_ends),
            self.due.eq(running & (begun | unfired | self.fire_busy | self.granting)),
        ]
        with m.If(came | self.end):
            m.d.sync += begun.eq(1)
        with m.Elif(tokens.use_ends):
            m.d.sync += begun.eq(0)
        with m.If(self.stop):
            m.d.sync += [offered.eq(0), begun.eq(0)]

        status = Signal(struct(self._formats.status))
        m.d.comb += [
            status.ends.eq(n_ends),
            status.credits.eq(n_credits),
            status.begun.eq(begun),
            status.unfired.eq(unfired),
            status.firing.eq(self.fire_busy),
            status.granting.eq(self.granting),
            status.held.eq(self.held),
        ]
        counters = self._count(m, running, came, clear_counters)
        self._show(m, registers | counters | {Register.STATUS: status})
        return m

    def _write(self, m, registers, start, running, clear_counters):
        """Takes what the bus writes: registers, and commands. Returns whether one is on its way."""
        command = self.config.commands
        starts = Signal()
        stops = Signal()
        m.d.comb += [
            starts.eq(command.start & ~running),
            stops.eq(command.stop),
            clear_counters.eq(command.clear_counters),
        ]
        m.d.sync += [
            start.eq(starts),
            self.stop.eq(stops),
            # What the phases will say, since much waits for it: whether the core has left STOPPED,
            # or does so in this cycle. A write that comes right behind STOP finds it as it will be.
            self.at_work.eq((self.at_work | starts) & ~stops),
        ]
        # Which register the bus means is worked out a cycle before the register is written: its
        # bits lie all over the core, by what they are compared with.
        selected = Signal()
        written = Signal(CHUNK_WIDTH, reset_less=True)
        m.d.sync += selected.eq(self.config.write & (self.config.memory == Memory.CONTROL.value))
        with m.If(selected):
            m.d.sync += written.eq(self.config.data)
        writes = Signal(len(registers))
        for k, (register, target) in enumerate(registers.items()):
            m.d.sync += writes[k].eq(selected & (self.config.address == register.value))
            with m.If(writes[k]):
                m.d.sync += target.eq(written)
        return selected | writes.any()

    def _show(self, m, words):
        """Answers a read with one of ``words``, by register, or with zero.

        In two stages, since there are many: a word of each group, then that of the group asked for.
        The first begins two cycles after the bus asks, when the write before it is there too.
        """
        words |= {
            Register.ERRORS: self.errors,
            Register.ERROR_FLIT_LOW: self.first_error.as_value()[:CHUNK_WIDTH],
            Register.ERROR_FLIT_HIGH: self.first_error.as_value()[CHUNK_WIDTH:],
        }
        address = self.config.address[: bits_for(N_CONTROL)]
        group = Signal(len(address) - GROUP_BITS, reset_less=True)
        addressed = Signal()
        asked = Signal()
        shown = Signal()
        m.d.sync += [
            addressed.eq(self.config.read & (self.config.memory == Memory.CONTROL.value)),
            asked.eq(addressed),
            shown.eq(asked),
        ]
        with m.If(asked):
            m.d.sync += group.eq(address[GROUP_BITS:])
        parts = []
        for number in range(-(-N_CONTROL >> GROUP_BITS)):
            part = Signal(CHUNK_WIDTH, name=f"shown_{number}", reset_less=True)
            word = Signal(CHUNK_WIDTH, name=f"word_{number}")
            with m.Switch(address[:GROUP_BITS]):
                for register, value in words.items():
                    if register.value >> GROUP_BITS == number:
                        with m.Case(register.value & ((1 << GROUP_BITS) - 1)):
                            m.d.comb += word.eq(value)
            with m.If(asked):
                m.d.sync += part.eq(word)
            parts.append(part)
        with m.If(shown):
            m.d.sync += self.read_chunk.eq(pick(parts, group))

    def _count_up(self, m, name, comes, wanted, use):
        """Counts tokens until they are used up. Returns the count, and whether all are there.

        The latter is a register, since what comes next waits for it within a cycle. That a token
        comes is known late: both comparisons are there before, and it chooses. It follows a new
        ``wanted`` one cycle late.
        """
        n = Signal(self._params.token_width, name=f"n_{name}")
        has_all = Signal(name=f"has_all_{name}", init=1)  # of none
        with m.If(comes):
            m.d.sync += n.eq(n + 1)
        m.d.sync += has_all.eq((n >= wanted) | (comes & (n + 1 >= wanted)))
        with m.If(use | self.stop):
            m.d.sync += [n.eq(0), has_all.eq(wanted == 0)]
        return n, has_all

    def _watch_tokens(
        self, m, start, running, writing, all_ends, all_credits, use_ends, use_credits
    ):
        """What the phases see of the tokens that are there."""
        complete = Signal()
        permitted = Signal()
        at_rest = Signal()
        drained = Signal()
        settled = Signal()
        m.d.comb += [
            at_rest.eq(self.axon_idle & self.dendrite_idle),
            settled.eq(
                (complete == all_ends)
                & (permitted == all_credits)
                & (drained == at_rest)
                & ~writing
            ),
        ]
        m.d.sync += [
            # One cycle late, to keep the comparisons off the path into the state machine: both can
            # only become true by a token, and false by the state machine's own doing.
            complete.eq(all_ends),
            # Late too: the last spike is in the core two cycles before its END counts.
            drained.eq(at_rest),
            permitted.eq(all_credits),
        ]
        with m.If(use_ends | self.stop):
            m.d.sync += complete.eq(0)
        with m.If(use_credits | self.stop):
            m.d.sync += permitted.eq(0)
        return _Tokens(
            start, self.stop, running, complete, permitted, drained, settled, use_ends, use_credits
        )

    def _run(self, m, tokens):
        """Phases of a core: what comes in, to the grant of the next; what goes out beside it.

        A token period of a finished sample is fired whenever that may be. Periods of the next
        sample but the last are updated meanwhile. Returns whether the core accumulates, and whether
        anything of a finished sample is left to fire.
        """
        unfired = Signal()  # the finished sample, or periods of it, are left
        is_updated = Signal()
        can_fire = Signal()
        can_update = Signal()
        has_fired = Signal()
        m.d.comb += [
            can_fire.eq(unfired & tokens.permitted & ~self.fire_busy),
            self.fire.eq(can_fire),
            tokens.use_credits.eq(can_fire),
            has_fired.eq(~unfired & ~self.fire_busy),
            can_update.eq(tokens.complete & tokens.drained & (has_fired | ~self.is_last_period)),
        ]
        is_last_fired = self._count_periods(m, tokens.stop, can_fire, is_updated)
        with m.If(can_fire & is_last_fired):
            m.d.sync += unfired.eq(0)
        with m.If(is_updated & self.is_last_period):
            m.d.sync += unfired.eq(1)

        # STOP comes later in each state than what else happens there.
        with m.FSM(name="phase") as phase:
            with m.State("STOPPED"):
                m.d.comb += self.waiting.eq(tokens.settled & ~tokens.start & ~tokens.stop)
                with m.If(tokens.start & ~tokens.stop):
                    m.d.comb += self.clear_all.eq(1)
                    m.next = "CLEAR"
            with m.State("CLEAR"):
                with m.If(~self.soma_busy):
                    m.d.sync += tokens.running.eq(1)
                    m.next = "GRANT"
                with m.If(tokens.stop):
                    m.next = "STOPPED"
            with m.State("GRANT"):
                with m.If(~self.granting):
                    m.d.comb += self.grant.eq(1)
                    m.next = "ACCUMULATE"
                with m.If(tokens.stop):
                    m.next = "STOPPED"
            with m.State("ACCUMULATE"):
                m.d.comb += self.waiting.eq(tokens.settled & ~can_fire & ~can_update & ~tokens.stop)
                with m.If(can_update):
                    m.d.comb += [self.update_pass.eq(1), tokens.use_ends.eq(1)]
                    m.next = "UPDATE"
                with m.If(tokens.stop):
                    m.next = "STOPPED"
            with m.State("UPDATE"):
                with m.If(~self.soma_busy):
                    m.d.comb += is_updated.eq(1)
                    m.next = "GRANT"
                with m.If(tokens.stop):
                    m.next = "STOPPED"
        with m.If(tokens.stop):
            m.d.sync += [unfired.eq(0), tokens.running.eq(0)]
        return phase.ongoing("ACCUMULATE"), unfired

    def _count_periods(self, m, stop, can_fire, is_updated):
        """Counts the token periods of a sample: updated ones up, and fired ones.

        Returns whether the period that is to be fired is the sample's last.
        """
        if self._params.model.token_period is TokenPeriod.SAMPLE:
            m.d.comb += self.is_last_period.eq(1)
            return Const(1)
        is_last_fired = Signal()
        m.d.comb += is_last_fired.eq(self.plane == self.mode.bits - 1)
        m.d.sync += self.is_last_period.eq(self.period == self.constants.steps - 1)
        with m.If(can_fire):
            m.d.sync += self.plane.eq(self.plane + 1)
            with m.If(is_last_fired):
                m.d.sync += self.plane.eq(0)
        with m.If(is_updated):
            m.d.sync += self.period.eq(self.period + 1)
            with m.If(self.is_last_period):
                m.d.sync += self.period.eq(0)
        with m.If(stop):
            m.d.sync += [self.plane.eq(0), self.period.eq(0)]
        return is_last_fired

    def _count(self, m, running, came, clear):
        """Adds the counters to ``m``; returns the value of every register that shows one."""
        updating = Signal()  # the soma is busy with an update pass, not with clearing
        was_stalled = Signal()  # comes late in its cycle, so it is counted in the next one
        overflow = Signal()
        m.d.comb += updating.eq(self.soma_busy & running)
        m.d.sync += was_stalled.eq(self.stalled & ~clear)
        events = {
            Register.SPIKES_IN: came,
            Register.SPIKES_OUT: self.sent,
            Register.FIRED: self.fired,
            Register.BUSY: self.op_valid,
            Register.STALLED: was_stalled,
            Register.UPDATE_CYCLES: updating,
            Register.FIRE_CYCLES: self.fire_busy & running,
            Register.SAMPLES: self.update_pass & self.is_last_period,
            Register.HOPS: self.hops,
        }
        counters = add_counters(
            m, events, op_valid=self.op_valid, op_lanes=self.op_lanes, clear=clear
        )
        with m.If(self.overflow):
            m.d.sync += overflow.eq(1)
        with m.If(clear):
            m.d.sync += overflow.eq(0)
        flags = Signal(struct(self._formats.flags))
        m.d.comb += [flags.overflow.eq(overflow), flags.running.eq(running)]
        return counters | {Register.FLAGS: flags}
