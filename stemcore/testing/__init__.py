# SPDX-License-Identifier: Apache-2.0
"""Drivers, monitors and scoreboards for cocotb benches, of any core: a kit that asks for names.

Needs cocotb 2 (``pip install stemcore[test]``). Inside a bench:

==============================  ===================================================================
:class:`ClockDomain`            a clock with its reset; edges, cycles, time limits
:class:`Stream`                 which signals make a stream: names, widths, polarities, bit fields
:class:`StreamDriver`           sends items, with gaps
:class:`StreamSink`             takes items, with stalls
:class:`StreamMonitor`          sees what passes, holds the sender to the rules of a stream
:class:`Scoreboard`             what has to come, in order; the first difference ends the test
:class:`AxiLiteMaster`          reads and writes registers
:func:`check_equal`             arrays against a golden model, the first difference named
:func:`seeded`                  random numbers from the variable SEED and the name of a test
:class:`HdlStreamDriver` ..     the same for benches in Verilog that have many streams
==============================  ===================================================================

In the test that starts the simulator, :func:`run_bench`: build if something changed, run under
Icarus Verilog or Verilator, raise with the messages of what failed. tests/cocotb/foreign holds a
worked example.
"""

from importlib import import_module

from stemcore.extras import MissingExtraError, how_to_install

try:
    import_module("cocotb")  # the rest of the extra is for this project's own tests
except ImportError as error:
    raise MissingExtraError(
        f"stemcore.testing: cocotb 2 must be there, it is not; {how_to_install('test')}"
    ) from error

from stemcore.golden.spec.bit_fields import BitFields
from stemcore.runtime.toolchain import ToolError
from stemcore.runtime.toolchain.bench import BenchOptions, run_bench

from .axi_lite import AxiLiteMaster, BusError
from .clock import ClockDomain
from .compare import check_equal
from .hdl_streams import (
    HDL_STREAMS,
    HDL_STREAMS_PUBLIC,
    HdlStreamDriver,
    HdlStreamMonitor,
    set_pace,
)
from .scoreboard import Scoreboard
from .signals import Item, Payload
from .stalls import STALLS, Stall, seeded, willing
from .streams import Stream, StreamDriver, StreamMonitor, StreamSink

__all__ = [
    "HDL_STREAMS",
    "HDL_STREAMS_PUBLIC",
    "STALLS",
    "AxiLiteMaster",
    "BenchOptions",
    "BitFields",
    "BusError",
    "ClockDomain",
    "HdlStreamDriver",
    "HdlStreamMonitor",
    "Item",
    "Payload",
    "Scoreboard",
    "Stall",
    "Stream",
    "StreamDriver",
    "StreamMonitor",
    "StreamSink",
    "ToolError",
    "check_equal",
    "run_bench",
    "seeded",
    "set_pace",
    "willing",
]
