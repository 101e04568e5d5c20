# SPDX-License-Identifier: Apache-2.0
"""A clock with its reset: edges to act on, moments to look at signals, cycles to count."""

from collections.abc import Awaitable
from typing import Any, Literal, TypeVar

from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.triggers import FallingEdge, RisingEdge, with_timeout
from cocotb.utils import get_sim_steps

from .signals import read_bit

Edge = Literal["rising", "falling"]
T = TypeVar("T")


class ClockDomain:
    """What a set of signals is synchronous to.

    Drivers of this package write just after the active edge, and monitors look at the opposite
    one, in the middle of a cycle: what they see then is what the next active edge takes, under
    every simulator. So a design whose signals move at the opposite edge too is out of reach.

    Parameters
    ----------
    clock : handle of the clock
    period_ns : float
        Of the clock, in nanoseconds; for counts of cycles and for time limits.
    reset : handle of the reset, optional
        Nothing is transferred while it is active.
    reset_active : int
        Level at which ``reset`` resets: 1, or 0 for names like ``rst_n``.
    edge : {"rising", "falling"}
        The active edge.
    """

    def __init__(
        self,
        clock: Any,
        *,
        period_ns: float = 10,
        reset: Any = None,
        reset_active: int = 1,
        edge: Edge = "rising",
    ):
        if edge not in ("rising", "falling"):
            raise ValueError(f"edge: must be 'rising' or 'falling', got {edge!r}")
        if reset_active not in (0, 1):
            raise ValueError(f"reset_active: must be 0 or 1, got {reset_active!r}")
        self.clock = clock
        self._period_ns = period_ns
        self._reset, self._reset_active = reset, reset_active
        rising, falling = RisingEdge(clock), FallingEdge(clock)
        #: the active edge, to be awaited: drivers write after it
        self.edge = rising if edge == "rising" else falling
        #: the opposite edge, to be awaited: monitors look at it
        self.middle = falling if edge == "rising" else rising
        self._steps = get_sim_steps(period_ns, "ns")

    def start(self) -> None:
        """Drives the clock from now on; leave it out where the design makes its own."""
        Clock(self.clock, self._period_ns, unit="ns").start()

    async def reset(self, cycles: int = 4) -> None:
        """Holds the reset active for ``cycles``; returns just after an active edge.

        Raises ``ValueError`` for a domain without a reset.
        """
        if self._reset is None:
            raise ValueError("reset: this clock domain has none; name it as reset=")
        self._reset.value = self._reset_active
        await self.cycles(cycles)
        self._reset.value = 1 - self._reset_active

    @property
    def in_reset(self) -> bool:
        """Whether the reset is active now; an undefined one counts as active."""
        if self._reset is None:
            return False
        return read_bit(self._reset) != 1 - self._reset_active

    async def cycles(self, n: int) -> None:
        """Waits for ``n`` active edges."""
        for _ in range(n):
            await self.edge

    @property
    def cycle(self) -> int:
        """Whole clock periods since the simulation began."""
        return get_sim_time("step") // self._steps

    async def within(self, what: Awaitable[T], cycles: int) -> T:
        """Awaits ``what``; ``TimeoutError`` if it is not there after ``cycles`` clock periods."""
        return await with_timeout(what, cycles * self._steps, "step")
