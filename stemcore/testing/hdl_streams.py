# SPDX-License-Identifier: Apache-2.0
"""Streams whose cycles pass in Verilog: Python wakes up once an item, not once a cycle.

``HDL_STREAMS`` holds the modules ``stream_source``, ``stream_sink`` and ``stream_observer``
(parameter ``WIDTH``; ports ``clk``, ``rst``, ``valid``, ``payload``, ``ready``), which a bench in
Verilog places around a design; the classes here are their Python side. Worth it for designs of many
streams and long runs; :mod:`stemcore.testing.streams` needs no bench in Verilog. Under Verilator,
``HDL_STREAMS_PUBLIC`` names the signals that Python touches.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ValueChange

from .stalls import STALLS

_VERILOG = Path(__file__).parent / "verilog"
HDL_STREAMS = _VERILOG / "streams.v"
HDL_STREAMS_PUBLIC = _VERILOG / "streams.vlt"


def set_pace(pauses: Any, stall: str, rng: np.random.Generator) -> None:
    """Lets a source or sink pause as ``stall``, a key of ``STALLS``, says; before the reset ends.

    pauses : handle of the ``pauses`` inside a ``stream_source`` or ``stream_sink``
    """
    if stall not in STALLS:
        raise ValueError(f"stall: must be one of {', '.join(STALLS)}, got {stall!r}")
    pauses.pace.value = STALLS[stall] - 1
    pauses.seed.value = int(rng.integers(1, 1 << 32))


class HdlStreamDriver:
    """Sends items, unsigned integers, through a ``stream_source``, at its pace.

    Parameters
    ----------
    source : handle of the ``stream_source``
    """

    def __init__(self, source: Any):
        self._source = source
        source.offered.value = 0

    async def send(self, item: int) -> None:
        """Returns once ``item`` is taken. If the next one follows at once, no cycle is lost."""
        source = self._source
        source.item.value = item
        source.offered.value = 1
        await ValueChange(source.taken)
        # Of several writes in one time step the last holds.
        source.offered.value = 0

    async def send_all(self, items: Iterable[int]) -> None:
        """Sends ``items`` without a pause of Python's making."""
        for item in items:
            await self.send(item)


class HdlStreamMonitor:
    """Hands every item that a ``stream_observer`` sees to ``callback``.

    Parameters
    ----------
    observer : handle of the ``stream_observer``; a ``stream_sink`` has one inside
    callback : function of an unsigned integer

    Attributes
    ----------
    n_seen : int
    """

    def __init__(self, observer: Any, callback: Callable[[int], None]):
        self._observer = observer
        self._callback = callback
        self.n_seen = 0
        self._task = cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        observer = self._observer
        while True:
            await ValueChange(observer.seen)
            self.n_seen += 1
            self._callback(observer.item.value.to_unsigned())

    def stop(self) -> None:
        """Ends the watch; raises ``AssertionError`` if the stream broke its rules."""
        self._task.cancel()
        if self._observer.broken.value != 0:
            raise AssertionError(
                f"{self._observer._path}: an item that waits must stay; it changed or vanished"
            )
