# SPDX-License-Identifier: Apache-2.0
"""The host's end of the serial line: what to send, what has come, when to ask again.

Bytes and the time come from outside, so that a simulated line has a time of its own. The rules are
those of :mod:`stemcore.golden.spec.uart_frames`.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from stemcore.golden.spec.uart_frames import (
    ACCESS,
    ANSWER,
    COUNT_WIDTH,
    FLIT_BYTES,
    MAX_FLITS,
    Frame,
    FrameKind,
    FrameReader,
)

_MASK = (1 << COUNT_WIDTH) - 1
_HALF = 1 << (COUNT_WIDTH - 1)
_N_SESSIONS = 255
PATIENCE = 4  # times of silence by which the time between two attempts may grow


class SessionLost(Exception):
    """The other end has another session: it was reset, or another host has connected."""


@dataclass
class LineCounts:
    """What happened on the line: frames that were damaged on their way here, and repeated work."""

    frames_in: int = 0
    frames_out: int = 0
    damaged_in: int = 0
    asked_again: int = 0  # by the other end
    silences: int = 0  # in which an attempt was repeated


@dataclass(frozen=True)
class _Access:
    kind: FrameKind
    number: int
    payload: bytes


@dataclass
class HostLink:
    """One end of the line.

    Attributes
    ----------
    retry : float
        Seconds of silence after which something is asked for again; more than a frame takes.
    received : deque of int
        Flits that have come, in order, each once.
    answer : (response, data) or None
        Of the last access.
    counts : LineCounts
    """

    retry: float
    received: deque[int] = field(default_factory=deque)
    answer: tuple[int, int] | None = None
    counts: LineCounts = field(default_factory=LineCounts)
    _reader: FrameReader = field(default_factory=FrameReader)
    _session: int = 0
    _wanted: int | None = None  # session that is being asked for
    _connecting: bool = False
    _expected: int = 0
    _asked: bool = False
    _access: _Access | None = None
    _number: int = 0
    _last_attempt: float = 0.0  # when a frame last came, or an attempt was made
    _last_frame: float = 0.0
    _moved: float = 0.0  # when something was last acknowledged, or sent first
    _silence: float = 0.0  # that is waited for next
    _out: deque[int] = field(default_factory=deque)  # not acknowledged
    _first: int = 0  # number of the first of them
    _sent: int = 0  # of them
    _room: int = 0  # of them may be sent
    _due: set[str] = field(default_factory=set)

    def connect(self, now: float) -> None:
        """Asks for a new session; what is under way is dropped."""
        self._connecting, self._wanted, self._session = True, None, 0
        self._due = {"connect"}
        self._out.clear()
        self.received.clear()
        self.answer = self._access = None
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._expected = self._first = self._sent = self._room = 0
        self._asked = False
        self._last_attempt = self._moved = self._last_frame = now
        self._silence = self.retry

    @property
    def is_connected(self) -> bool:
        """Whether the other end has agreed to the session."""
        return not self._connecting and self._session != 0

    @property
    def n_waiting(self) -> int:
        """Flits that are not acknowledged."""
        return len(self._out)

    @property
    def last_frame(self) -> float:
        """When a good frame last came, or the session was asked for."""
        return self._last_frame

    def send(self, flits: Iterable[int]) -> None:
        """Queues flits."""
        self._out.extend(flits)

    def access(self, kind: FrameKind, address: int, data: int = 0) -> None:
        """Asks for an access to a register; ``answer`` is None until it has come."""
        assert self._access is None, "one access at a time"
        self._number = (self._number + 1) & _MASK
        payload = ACCESS.pack(address=address, data=data).to_bytes(FLIT_BYTES, "little")
        self._access = _Access(kind, self._number, payload)
        self.answer = None
        self._due.add("access")

    def receive(self, text: bytes, now: float) -> None:
        """Takes bytes of the line. Raises :class:`SessionLost`."""
        for frame in self._reader.read(text):
            if frame is None:
                self.counts.damaged_in += 1
                self._ask()
            else:
                self.counts.frames_in += 1
                self._last_attempt = self._last_frame = now
                self._silence = self.retry
                self._take(frame, now)

    def _ask(self) -> None:
        """Asks for frames again, once until one is in order."""
        if not self._asked and self.is_connected:
            self._asked = True
            self._due |= {"again", "frame"}

    def _take(self, frame: Frame, now: float) -> None:
        if self._connecting:
            self._agree(frame, now)
            return
        if frame.session != self._session:
            raise SessionLost
        self._take_acknowledged(frame, now)
        if frame.kind == FrameKind.FLITS:
            if not frame.payload:
                return
            ahead = (frame.sequence - self._expected) & _MASK
            if ahead == 0:
                self.received.extend(frame.flits())
                self._expected = (self._expected + len(frame.payload) // FLIT_BYTES) & _MASK
                self._asked = False
                self._due.add("frame")
            elif ahead < _HALF:
                self._ask()
            else:
                self._due.add("frame")  # sent again although it had come: say so
        elif self._access is not None and (frame.kind, frame.sequence) == (
            self._access.kind,
            self._access.number,
        ):
            fields = ANSWER.unpack(int.from_bytes(frame.payload, "little"))
            self.answer = fields["response"], fields["data"]
            self._access = None
            self._due.discard("access")

    def _agree(self, frame: Frame, now: float) -> None:
        """First the other end says its session, then it takes the next one."""
        if self._wanted is None:
            self._wanted = frame.session % _N_SESSIONS + 1
            self._due = {"connect"}
        elif frame.kind == FrameKind.CONNECT and frame.session == self._wanted:
            self._connecting, self._session = False, self._wanted
            self._begin(now)
            self._room = frame.room
            self._due = set()

    def _take_acknowledged(self, frame: Frame, now: float) -> None:
        passed = (frame.acknowledged - self._first) & _MASK
        if passed > min(len(self._out), _HALF):
            return  # of an earlier frame than the last: it says nothing new
        for _ in range(passed):
            self._out.popleft()
        self._first = (self._first + passed) & _MASK
        self._sent = max(0, self._sent - passed)
        self._room = frame.room
        if passed:
            self._moved = now
        if frame.again:
            self.counts.asked_again += 1
            self._sent = 0

    def outgoing(self, now: float) -> bytes:
        """Bytes to send now; to be asked for when something has come, and after a while."""
        if now - self._last_attempt > self._silence:
            self.counts.silences += 1
            self._last_attempt = self._moved = now
            self._silence = min(2 * self._silence, PATIENCE * self.retry)
            self._sent = 0
            self._due |= {"connect"} if self._connecting else {"frame", "again"}
            if self._access is not None:
                self._due.add("access")
        elif self._sent and now - self._moved > self.retry:
            # Frames come, but nothing was acknowledged: the repetition was lost as well.
            self.counts.silences += 1
            self._moved = now
            self._sent = 0
        return b"".join(frame.to_bytes() for frame in self._frames(now))

    def _frames(self, now: float) -> Iterable[Frame]:
        if self._connecting:
            if "connect" in self._due:
                self._due.clear()
                yield self._frame(
                    FrameKind.FLITS if self._wanted is None else FrameKind.CONNECT,
                    session=self._wanted or 0,
                )
            return
        if "access" in self._due and self._access is not None:
            yield self._frame(
                self._access.kind, sequence=self._access.number, payload=self._access.payload
            )
        while self._sent < min(len(self._out), self._room):
            if self._sent == 0:
                self._moved = now
            n = min(MAX_FLITS, min(len(self._out), self._room) - self._sent)
            flits = islice(self._out, self._sent, self._sent + n)
            payload = b"".join(flit.to_bytes(FLIT_BYTES, "little") for flit in flits)
            sequence = (self._first + self._sent) & _MASK
            self._sent += n
            yield self._frame(FrameKind.FLITS, sequence=sequence, payload=payload)
        if "frame" in self._due:
            yield self._frame(FrameKind.FLITS, sequence=(self._first + self._sent) & _MASK)
        self._due.clear()

    def _frame(
        self,
        kind: FrameKind,
        *,
        session: int | None = None,
        sequence: int = 0,
        payload: bytes = b"",
    ) -> Frame:
        again = int("again" in self._due)
        self._due -= {"again", "frame"}
        self.counts.frames_out += 1
        return Frame(
            kind=kind,
            session=self._session if session is None else session,
            payload=payload,
            sequence=sequence,
            acknowledged=self._expected,
            again=again,
        )
