# SPDX-License-Identifier: Apache-2.0
"""The driver of a board: who is there, configure, check, run, count."""

import logging
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.host_registers import (
    BURST_MINOR,
    CODEC_MINOR,
    FIRST_PARAM,
    HOST_REGISTERS,
    IDENTITY,
    MAJOR,
    codec_of_word,
    params_of_words,
)
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import Node

from ..errors import EngineError
from ..progress import Progress
from . import waits
from .bursts import as_bursts
from .codec_protocol import CodecProtocol
from .codec_tables import CodecMisfitError, CodecTables, codec_tables
from .errors import check
from .flits import Flits, Host
from .protocol import CHUNK_MASK, Protocol
from .transport import PortError, Transport

LOOK_S = 0.05  # between two looks at what has come
RESET_S = 2.0  # in which a reset must end
STANDSTILL_S = 20.0  # without a flit in either direction, while images are open
CODEC = "as bytes, by the spike codec"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """What a chip says of itself: its parameters, its nodes, and what is beside its port.

    takes_bursts : whether WRITEs may be sent as bursts
    """

    params: ChipParams
    columns: int
    rows: int
    codec: CodecParams | None = None
    takes_bursts: bool = False


@dataclass(frozen=True)
class BoardRun:
    """Outcome: integers that the host received (N, C, H, W), and each core's counters.

    samples : how images went: ``CODEC``, as bytes by the spike codec, or why they went as flits
    words_in, words_out : of 8 bytes on the stream, of all images with their tokens
    """

    outputs: NDArray[np.int64]
    counters: dict[Node, dict[str, int]]
    n_flits: int  # that configured the chip
    configuration_words: int  # of 8 bytes on the stream, in which they were sent
    configure_s: float
    check_s: float
    run_s: float
    samples: str
    words_in: int
    words_out: int


class Board:
    """One chip at the other end of ``transport``.

    Raises :class:`stemcore.runtime.host.transport.PortError` for what the user can mend, and
    :class:`EngineError` where the chip does not do what it must.
    """

    def __init__(self, transport: Transport, *, standstill_s: float = STANDSTILL_S):
        self._transport = transport
        self._standstill_s = standstill_s
        self._words_in = self._words_out = 0  # of the last _play
        transport.restart()

    def get(self, name: str) -> dict[str, int]:
        """Fields of a host register."""
        register = HOST_REGISTERS[name]
        return register.layout.unpack(self._transport.read(register.offset))

    def put(self, name: str, **fields: int) -> None:
        """Writes a host register, all of its fields."""
        register = HOST_REGISTERS[name]
        self._transport.write(register.offset, register.layout.pack(**fields))

    def identify(self) -> Identity:
        """Who is there."""
        name = self._transport.name
        word = self.get("IDENTITY")["word"]
        if word != IDENTITY:
            raise PortError(
                f"{name}: a chip of this project must be there (IDENTITY {IDENTITY:#x}), got "
                f"{word:#x}; load its bitstream, or name another port"
            )
        version = self.get("VERSION")
        if version["major"] != MAJOR:
            raise PortError(
                f"{name}: the registers of the board must have version {MAJOR}, got "
                f"{version['major']}.{version['minor']}; load a bitstream of this release"
            )
        words = [
            self._transport.read(register.offset)
            for register in HOST_REGISTERS.values()
            if register.number >= FIRST_PARAM
        ]
        try:
            params = params_of_words(words)
            codec = None
            if version["minor"] >= CODEC_MINOR:
                register = HOST_REGISTERS["CODEC_SIZES"]
                codec = codec_of_word(self._transport.read(register.offset))
        except ValueError as error:
            raise PortError(f"{name}: {error}") from None
        mesh = self.get("MESH")
        takes_bursts = version["minor"] >= BURST_MINOR
        return Identity(params, mesh["columns"], mesh["rows"], codec, takes_bursts)

    def check_fits(self, program: Program) -> Identity:
        """Raises :class:`PortError` where the chip is not one that ``program`` was compiled for."""
        chip = self.check_sizes(program.params, f"that {program.name} was compiled for")
        name = self._transport.name
        if chip.columns < program.columns or chip.rows < program.rows:
            raise PortError(
                f"{name}: the chip must have {program.columns} x {program.rows} nodes for "
                f"{program.name}, got {chip.columns} x {chip.rows}; compile for the board's mesh "
                f"(MESH={chip.columns}x{chip.rows}), or load a larger chip"
            )
        return chip

    def check_sizes(self, params: ChipParams, whose: str) -> Identity:
        """Raises :class:`PortError` where the chip's nodes have other sizes than ``params``."""
        chip = self.identify()
        wanted, got = params.to_dict(), chip.params.to_dict()
        if differing := [key for key in wanted if wanted[key] != got[key]]:
            values = ", ".join(f"{key} {got[key]} (not {wanted[key]})" for key in differing)
            raise PortError(
                f"{self._transport.name}: the chip must have the sizes {whose}, got {values}; "
                "choose the board's preset, or load a bitstream with the program's"
            )
        return chip

    def reset(self, *, codec: bool = False) -> None:
        """Resets the chip, and drops what is under way between; ``codec``: there is one."""
        self._transport.restart()
        if codec:
            self.put("CODEC", work=0)
        self.put("RESET", reset=1)
        end = time.monotonic() + RESET_S
        while self.get("STATUS")["resetting"]:
            if time.monotonic() > end:
                raise PortError(
                    f"{self._transport.name}: a reset must end, and did not in {RESET_S:g} s; the "
                    "chip's clock does not run"
                )
        self._transport.restart()

    def run(
        self, program: Program, images: NDArray[np.integer], progress: Progress | None = None
    ) -> BoardRun:
        """Configures the chip, reads its memories back, and runs ``images`` (N, C, H, W)."""
        chip = self.check_fits(program)
        self.reset(codec=chip.codec is not None)
        host = Host(program)
        tables, samples = self._codec(program, chip)
        population = program.output_populations[0]
        self.put(
            "SAMPLE_ENDS",
            input=len(program.input_end) * program.tokens_per_sample(program.input),
            output=program.output_ends * program.tokens_per_sample(population),
        )
        started = time.monotonic()
        n_flits, configuration_words = self._configure(program, chip, host, tables)
        configured = time.monotonic()
        self._check_memories(program, host)
        if tables is not None:
            self._check_codec(program, host, tables)
            self.put("CODEC", work=1)
        checked = time.monotonic()
        protocol = (
            Protocol(program, images, configure=False)
            if tables is None
            else CodecProtocol(program, images, tables)
        )
        self._play(protocol, "images must come out", progress=progress, n_samples=len(images))
        ended = time.monotonic()
        words_in, words_out = self._words_in, self._words_out
        counters = {
            (core.x, core.y): self._counters(protocol, host, core) for core in program.cores
        }
        self._check_errors(protocol)
        return BoardRun(
            outputs=protocol.values,
            counters=counters,
            n_flits=n_flits,
            configuration_words=configuration_words,
            configure_s=configured - started,
            check_s=checked - configured,
            run_s=ended - checked,
            samples=samples,
            words_in=words_in,
            words_out=words_out,
        )

    @staticmethod
    def _codec(program: Program, chip: Identity) -> tuple[CodecTables | None, str]:
        """What the codec is to hold; or why images go as flits."""
        if chip.codec is None:
            return None, "as flits: the board has no spike codec"
        try:
            return codec_tables(program, chip.codec), CODEC
        except CodecMisfitError as error:
            return None, f"as flits: {error}"

    def _configure(
        self, program: Program, chip: Identity, host: Host, tables: CodecTables | None
    ) -> tuple[int, int]:
        """Writes all memories; how many flits that were, and words of the stream."""
        n_flits = n_words = 0

        def send(flits: Flits) -> None:
            nonlocal n_flits, n_words
            words = as_bursts(flits, host.formats) if chip.takes_bursts else flits
            n_flits += len(flits)
            n_words += len(words)
            self._transport.send(words.tolist())
            self._drain(program, [])

        for number, core in enumerate(program.cores, 1):
            _log.info("core %d of %d", number, len(program.cores), extra={"stage": "configure"})
            send(host.configuration(core))
        if tables is not None:
            send(tables.configuration(host))
        return n_flits, n_words

    def _check_codec(self, program: Program, host: Host, tables: CodecTables) -> None:
        """The codec's memories, as those of the cores."""
        for memory, words in tables.memories.items():
            wanted = np.asarray(words, np.int64).ravel()
            got = self._read(program, tables.reads(host, memory))
            if not np.array_equal(got, wanted):
                first = int(np.nonzero(got != wanted)[0][0])
                raise EngineError(
                    f"codec: {memory.name} must hold what was written; chunk {first} must be "
                    f"{int(wanted[first]):#x}, got {int(got[first]):#x}; the board loses or "
                    "changes what it is sent: load its bitstream anew"
                )

    def _drain(self, program: Program, received: list[int]) -> None:
        """Until the board has taken all flits; what comes meanwhile is kept."""
        before, moved = self._transport.n_waiting, time.monotonic()
        while n := self._transport.n_waiting:
            flits = self._transport.receive(LOOK_S)
            received += flits
            if n != before or flits:
                before, moved = n, time.monotonic()
            elif time.monotonic() - moved > self._standstill_s:
                raise EngineError(
                    f"{program.name}: the chip must take flits; {n} are left, and it took none for "
                    f"{self._standstill_s:g} s"
                )

    def _check_memories(self, program: Program, host: Host) -> None:
        """Every word of every memory is read back and compared; registers are seen at work."""
        for number, core in enumerate(program.cores, 1):
            _log.info("core %d of %d", number, len(program.cores), extra={"stage": "read back"})
            for memory, words in core.memories.items():
                if memory is Memory.CONTROL or words.size == 0:
                    continue
                wanted = np.asarray(words, np.int64).ravel()
                got = self._read(program, host.read(core, memory, 0, len(wanted)))
                if not np.array_equal(got, wanted):
                    first = int(np.nonzero(got != wanted)[0][0])
                    n_chunks = max(1, wanted.size // len(words))
                    raise EngineError(
                        f"node ({core.x}, {core.y}): {memory.name} must hold what was written; "
                        f"word {first // n_chunks}, chunk {first % n_chunks} must be "
                        f"{int(wanted[first]):#x}, got {int(got[first]):#x}; the board loses or "
                        "changes what it is sent: load its bitstream anew, or make it for a "
                        "slower clock"
                    )

    def _read(self, program: Program, requests: list[Flits]) -> NDArray[np.int64]:
        """Answers to READs, as many under way as the transport permits."""
        replies: list[int] = []
        formats = Formats(program.params)
        sent, moved = 0, time.monotonic()
        while len(replies) < len(requests):
            while sent < len(requests) and sent - len(replies) < self._transport.reads_at_once:
                self._transport.send(requests[sent].tolist())
                sent += 1
            flits = self._transport.receive(LOOK_S)
            replies += [formats.flit.unpack(flit)["payload"] & CHUNK_MASK for flit in flits]
            if flits:
                moved = time.monotonic()
            elif time.monotonic() - moved > self._standstill_s:
                raise EngineError(
                    f"{program.name}: a READ must be answered; {len(requests) - len(replies)} were "
                    f"not in {self._standstill_s:g} s"
                )
        return np.array(replies, np.int64)

    def _play(
        self,
        protocol: Protocol | CodecProtocol,
        what: str,
        *,
        n_samples: int = 0,
        n_replies: int = 0,
        progress: Progress | None = None,
    ) -> None:
        """Plays the host until so many samples and answers are there."""
        transport = self._transport
        self._words_in = self._words_out = 0
        moved, shown, before = time.monotonic(), -1, transport.n_waiting
        while protocol.samples_done < n_samples or len(protocol.replies) < n_replies:
            burst = []
            while (flit := protocol.offer()) is not None:
                burst.append(flit)
                protocol.taken()
            transport.send(burst)
            flits = transport.receive(LOOK_S)
            self._words_in += len(burst)
            self._words_out += len(flits)
            for flit in flits:
                protocol.receive(flit)
            if burst or flits or transport.n_waiting != before:
                moved, before = time.monotonic(), transport.n_waiting
            if protocol.alerts:
                self._check_errors(protocol)
            if progress is not None and protocol.samples_done != shown:
                shown = protocol.samples_done
                progress(shown, 0)
            if time.monotonic() - moved > self._standstill_s:
                self._explain(protocol, f"{n_samples or n_replies} {what}")

    def _explain(self, protocol: Protocol | CodecProtocol, what: str) -> None:
        """Raises with what the chip and its cores say of themselves."""
        program = protocol.program
        status = ", ".join(f"{name} {value}" for name, value in self.get("STATUS").items())
        lines = [f"  host side: {status}"]
        for counter in ("FLITS_IN", "FLITS_OUT", "SAMPLES_IN", "SAMPLES_OUT"):
            lines.append(f"  {counter} {self.get(counter)['count']}")
        host = Host(program)
        if isinstance(protocol, CodecProtocol):
            # Samples wait before what asks the cores; nothing of them may become flits.
            self._transport.restart()
            self.put("CODEC", work=0)
        try:
            statuses = {
                (core.x, core.y): int(
                    self._read(program, host.read(core, Memory.CONTROL, Control.STATUS))[0]
                )
                for core in program.cores
            }
            lines += waits.report(program, statuses)
        except EngineError as error:
            lines.append(f"  {error}")
        n_done = protocol.samples_done or len(protocol.replies)
        raise EngineError(
            f"{program.name}: {what}, {n_done} did, and no flit has passed for "
            f"{self._standstill_s:g} s\n" + "\n".join(lines)
        )

    def _counters(
        self, protocol: Protocol | CodecProtocol, host: Host, core: CoreImage
    ) -> dict[str, int]:
        first, last = Control.SOPS_LOW, Control.FLAGS
        words: list[int] = []
        for request in host.read(core, Memory.CONTROL, first, last - first + 1):
            protocol.send(request.tolist())
            n_replies = len(protocol.replies) + 1
            self._play(protocol, "READs must be answered", n_replies=n_replies)
            words.append(protocol.replies[-1])
        return host.named_counters(words)

    def _check_errors(self, protocol: Protocol | CodecProtocol) -> None:
        program = protocol.program
        check(program.name, Formats(program.params), protocol.alerts)
        found = [name for name, value in self.get("ERRORS").items() if value]
        if found:
            raise EngineError(
                f"{program.name}: the host side must see no error, got {', '.join(found)}"
            )
