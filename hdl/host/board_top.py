# SPDX-License-Identifier: Apache-2.0
"""What stands between the pins of a board and a chip: clock, reset, serial line, LEDs."""

import importlib
from dataclasses import dataclass

from amaranth import (
    ClockDomain,
    ClockSignal,
    Const,
    DomainRenamer,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib import io, wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect

from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.fields import ALERT, Kind
from stemcore.golden.spec.params import ChipParams

from ..boards.board import Board
from ..layouts import flit_stream
from .pll import Pll, find_pll
from .uart_host import UartHost

MIN_DIVISOR = 8  # cycles of a bit on a line that is not simulated
MAX_BAUD_ERROR = 0.01  # of each end; a receiver stands twice as much
STRETCH_WIDTH = 22  # cycles of a LED's least time: 70 ms at 60 MHz
CHIP = "chip"  # module of the Verilog that becomes the chip


class Lights(wiring.Component):
    """State of a chip on three LEDs, from its link to the host.

    Parameters
    ----------
    params : ChipParams
    stretch_width : int
        ``running`` stays for ``2**stretch_width`` cycles at least.

    Members
    -------
    flit, moves : ``In``
        A flit from the chip, and whether it is taken in this cycle.
    quiet : ``In(1)``
        Of the chip.
    running : ``Out(1)``
        The chip has had something to do a short while ago.
    error : ``Out(1)``
        A core has reported an error since the last reset.
    done : ``Out(1)``
        An END, the end of a sample, has come since the last reset.
    """

    def __init__(self, *, params: ChipParams, stretch_width: int = STRETCH_WIDTH):
        self._stretch_width = stretch_width
        super().__init__(
            {
                "flit": In(flit_stream(params).members["payload"].shape),
                "moves": In(1),
                "quiet": In(1),
                "running": Out(1),
                "error": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        left = Signal(self._stretch_width)
        quiet = Signal(init=1)
        m.d.sync += [quiet.eq(self.quiet), self.running.eq(left != 0)]
        with m.If(~quiet):
            m.d.sync += left.eq(-1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        for light, kind in ((self.error, ALERT), (self.done, Kind.END)):
            with m.If(self.moves & (self.flit.kind == kind.value)):
                m.d.sync += light.eq(1)
        return m


class BoardCore(wiring.Component):
    """The design of a board but its pins: host side in domain ``sync``, chip with its own clock.

    Parameters
    ----------
    params : ChipParams
    columns, rows : int
        Nodes of the chip.
    divisor : int
        Cycles of a bit of the serial line.
    chip : component with the ports of ``hdl.chip.Chip``, or None
        None: an instance of the Verilog module ``chip``.
    codec : CodecParams, optional
        Sizes of the spike codec beside the port, where there is one.

    Members
    -------
    chip_clk : ``In(1)``
        Clock of the chip; needs no relation to that of ``sync``, and runs during its reset.
    rx, tx : ``In(1)``, ``Out(1)``
        Serial line, high at rest; ``rx`` of any clock.
    running, error, done : ``Out(1)``
        See :class:`Lights`.
    """

    def __init__(
        self,
        *,
        params: ChipParams,
        columns: int,
        rows: int,
        divisor: int,
        chip=None,
        codec: CodecParams | None = None,
    ):
        self._params, self._chip = params, chip
        self._host = UartHost(
            params=params, columns=columns, rows=rows, divisor=divisor, codec=codec
        )
        super().__init__(
            {
                "chip_clk": In(1),
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "running": Out(1),
                "error": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.host = host = self._host
        m.submodules.lights = lights = DomainRenamer("mesh")(Lights(params=self._params))
        m.domains.mesh = ClockDomain("mesh", local=True)
        m.d.comb += [
            ClockSignal("mesh").eq(self.chip_clk),
            ResetSignal("mesh").eq(host.chip_rst),
            host.chip_clk.eq(self.chip_clk),
            host.rx.eq(self.rx),
            self.tx.eq(host.tx),
        ]
        if self._chip is None:
            m.submodules.chip = Instance(
                CHIP,
                i_clk=ClockSignal("mesh"),
                i_rst=ResetSignal("mesh"),
                i_host_i_valid=host.chip_i.valid,
                i_host_i_payload=host.chip_i.payload.as_value(),
                o_host_i_ready=host.chip_i.ready,
                o_host_o_valid=host.chip_o.valid,
                o_host_o_payload=host.chip_o.payload.as_value(),
                i_host_o_ready=host.chip_o.ready,
                o_quiet=host.chip_quiet,
            )
        else:
            m.submodules.chip = chip = DomainRenamer("mesh")(self._chip)
            connect(m, host.chip_i, chip.i)
            connect(m, chip.o, host.chip_o)
            m.d.comb += host.chip_quiet.eq(chip.quiet)
        m.d.comb += [
            lights.flit.eq(host.chip_o.payload),
            lights.moves.eq(host.chip_o.valid & host.chip_o.ready),
            lights.quiet.eq(host.chip_quiet),
            self.running.eq(lights.running),
            self.error.eq(lights.error),
            self.done.eq(lights.done),
        ]
        return m


class BoardTop(Elaboratable):
    """A :class:`BoardCore` on the pins of an amaranth-boards platform.

    The platform has a clock, a serial line ``uart``, LEDs ``led`` 0 to 2 (running, error, done),
    and maybe a button ``button_fire``, which resets. Clock domain ``sync`` is the board's
    clock, the chip's is the PLL's output; all is in reset until the PLL has locked.
    """

    def __init__(self, core: BoardCore, pll: Pll):
        self._core, self._pll = core, pll

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain("sync")
        clk, locked = Signal(name="pll_clk"), Signal(name="pll_locked")

        def pin(direction, name, number=0, part=None):
            port = platform.request(name, number, dir="-")
            port = port if part is None else getattr(port, part)
            buffer = io.Buffer(direction, port)
            m.submodules[f"{name}_{number}" + (f"_{part}" if part else "")] = buffer
            return buffer

        serial = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", serial.rx)
        m.submodules.tx = tx = io.Buffer("o", serial.tx)
        clock = pin("i", platform.default_clk)
        reset = Const(0) if platform.lookup_reset is None else pin("i", *platform.lookup_reset).i
        platform.add_clock_constraint(clk, self._pll.mhz * 1e6)
        m.submodules.pll = self._pll.instance(clk=clk, locked=locked)
        m.submodules.reset = ResetSynchronizer(~locked | reset, domain="sync")
        m.submodules.core = core = self._core
        m.d.comb += [
            ClockSignal("sync").eq(clock.i),
            core.chip_clk.eq(clk),
            core.rx.eq(rx.i),
            tx.o.eq(core.tx),
        ]
        for number, light in enumerate((core.running, core.error, core.done)):
            m.d.comb += pin("o", "led", number).o.eq(light)
        return m


def get_platform(board: Board):
    """The platform of a board, made anew: what was requested of one cannot be requested again."""
    module, _, name = board.platform.partition(":")
    platform = getattr(importlib.import_module(module), name)()
    known = {resource for resource, _ in platform.resources}
    platform.lookup_reset = ("button_fire", 0) if ("button_fire" in known) else None
    return platform


@dataclass(frozen=True)
class BoardFiles:
    """What synthesis needs of a board.

    rtlil : module ``top`` and what is below it, but for the module ``chip``
    constraints : pins and clocks, in the form of the part's tools
    clock_mhz : of the PLL's output
    divisor : cycles of the board's clock for each bit of the serial line
    """

    rtlil: str
    constraints: str
    clock_mhz: float
    divisor: int


def board_pll(board: Board, clock_mhz: float) -> Pll:
    """The PLL of a board for a clock; ``ValueError`` where none is near."""
    return find_pll(get_platform(board).default_clk_frequency / 1e6, clock_mhz)


def baud_divisor(clock_mhz: float, baud: int) -> int:
    """Cycles of a bit of the serial line; ``ValueError`` where no number of them is near."""
    divisor = round(clock_mhz * 1e6 / baud)
    if divisor < MIN_DIVISOR or abs(clock_mhz * 1e6 / divisor / baud - 1) > MAX_BAUD_ERROR:
        raise ValueError(
            f"baud: must be the clock of {clock_mhz:g} MHz divided by a whole number of "
            f"{MIN_DIVISOR} or more, within {MAX_BAUD_ERROR:.0%}, got {baud}; "
            f"{clock_mhz * 1e6 / max(divisor, MIN_DIVISOR):.0f} is near"
        )
    return divisor


def board_files(
    board: Board,
    *,
    params: ChipParams,
    columns: int,
    rows: int,
    clock_mhz: float,
    baud: int,
    codec: CodecParams | None = None,
) -> BoardFiles:
    """The top of a board; ``ValueError`` for a clock or a baud rate that there is not."""
    platform = get_platform(board)
    pll = board_pll(board, clock_mhz)
    divisor = baud_divisor(platform.default_clk_frequency / 1e6, baud)
    core = BoardCore(params=params, columns=columns, rows=rows, divisor=divisor, codec=codec)
    files = platform.prepare(BoardTop(core, pll), name="top").files

    def text(name):
        return files[name] if isinstance(files[name], str) else files[name].decode()

    return BoardFiles(text("top.il"), text("top.lpf"), pll.mhz, divisor)
