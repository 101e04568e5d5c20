# SPDX-License-Identifier: Apache-2.0
"""Reads and writes registers over AXI4-Lite."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from cocotb.triggers import Lock

from .clock import ClockDomain
from .stalls import Stall
from .streams import Stream, StreamDriver, StreamSink

RESPONSES = {0: "OKAY", 1: "EXOKAY", 2: "SLVERR", 3: "DECERR"}
# Payload signals of the five channels, each name behind the channel's letters.
_CHANNELS: dict[str, tuple[str, ...]] = {
    "aw": ("addr", "prot"),
    "w": ("data", "strb"),
    "b": ("resp",),
    "ar": ("addr", "prot"),
    "r": ("data", "resp"),
}


class BusError(AssertionError):
    """A device refused an access, or did not answer."""


class AxiLiteMaster:
    """The master of an AXI4-Lite device: its registers as addresses and words.

    The address and the data of a write travel on their own and stall on their own, as the protocol
    permits; so do answers. Of several tasks, each waits for its turn to write, and to read. After
    an access that was not answered in time, reset the device and make a new master.

    Parameters
    ----------
    dut : handle that has the signals
    domain : ClockDomain
    prefix : str
        In front of every name: ``"s_axi_"`` for ``s_axi_awaddr`` and so on. ``prot`` may be absent.
    names : dict, optional
        Signals that are called otherwise: ``{"awaddr": "cfg_write_address"}``, whole names.
    gaps, stalls : str or iterable of bool
        Pauses of what is sent, and of what is taken.
    rng : numpy generator, optional
        For named patterns but ``free``.
    limit : int
        Cycles in which an access must be answered.
    """

    def __init__(
        self,
        dut: Any,
        domain: ClockDomain,
        *,
        prefix: str = "s_axi_",
        names: Mapping[str, str] | None = None,
        gaps: Stall = "free",
        stalls: Stall = "free",
        rng: np.random.Generator | None = None,
        limit: int = 1000,
    ):
        names = dict(names or {})

        def name_of(signal: str) -> str:
            return names.get(signal, prefix + signal)

        streams = {}
        for channel, signals in _CHANNELS.items():
            payload = {
                signal: name_of(channel + signal)
                for signal in signals
                if signal != "prot" or hasattr(dut, name_of(channel + signal))
            }
            streams[channel] = Stream.of(
                dut,
                domain,
                valid=name_of(f"{channel}valid"),
                ready=name_of(f"{channel}ready"),
                payload=payload,
            )
        self._domain, self._limit = domain, limit
        self._has_prot = {c: hasattr(dut, name_of(f"{c}prot")) for c in ("aw", "ar")}
        self._n_bytes = len(getattr(dut, name_of("wdata"))) // 8
        self._drivers = {c: StreamDriver(streams[c], gaps=gaps, rng=rng) for c in ("aw", "w", "ar")}
        self._turns = {"b": Lock(), "r": Lock()}
        self._sinks = {c: StreamSink(streams[c], stalls=stalls, rng=rng) for c in ("b", "r")}

    async def write(self, address: int, word: int, *, strobe: int | None = None) -> None:
        """Writes ``word`` at ``address``, in bytes; of ``strobe``, each bit lets a byte through.

        Raises :class:`BusError` unless the device answers OKAY in time.
        """
        strobe = (1 << self._n_bytes) - 1 if strobe is None else strobe
        async with self._turns["b"]:
            self._drivers["aw"].queue([self._address("aw", address)])
            self._drivers["w"].queue([{"data": word, "strb": strobe}])
            await self._answer("b", f"write of {word:#x} to {address:#x}")

    async def read(self, address: int) -> int:
        """The word at ``address``, in bytes; raises :class:`BusError` as :meth:`write` does."""
        async with self._turns["r"]:
            self._drivers["ar"].queue([self._address("ar", address)])
            answer = await self._answer("r", f"read of {address:#x}")
        return answer["data"]

    def _address(self, channel: str, address: int) -> dict[str, int]:
        return {"addr": address} | ({"prot": 0} if self._has_prot[channel] else {})

    async def _answer(self, channel: str, what: str) -> dict[str, int]:
        sink = self._sinks[channel]
        for _ in range(self._limit):
            if sink.items:
                break
            await self._domain.edge
        else:
            raise BusError(f"{what}: must be answered within {self._limit} cycles")
        answer: dict[str, int] = sink.items.pop(0)
        if answer["resp"] != 0:
            raise BusError(f"{what}: must be answered OKAY, got {RESPONSES[answer['resp']]}")
        return answer

    def stop(self) -> None:
        """Ends all tasks."""
        for driver in self._drivers.values():
            driver.stop()
        for sink in self._sinks.values():
            sink.stop()
