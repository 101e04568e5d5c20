# SPDX-License-Identifier: Apache-2.0
"""The host's side of a run beside a spike codec: bytes of images in, bytes of outputs out."""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import ALERT, Formats, Kind

from .codec_tables import CodecTables, decode_sample, encode_sample
from .flits import Host
from .protocol import CHUNK_MASK

AHEAD = 8  # samples that are sent before the first of them has come out; the rest waits here


class CodecProtocol:
    """Starts the cores, sends samples, takes their results; used as :class:`.protocol.Protocol`.

    The codec holds ``tables`` and is at work. It keeps the rules of tokens, so samples are sent as
    the transport takes them.

    Attributes
    ----------
    samples_done : int
    replies, alerts : list[int]
        As of ``Protocol``.
    values : int64 array (N, C, H, W), of several populations (N, E, 1, 1)
    """

    def __init__(self, program: Program, images: NDArray[np.integer], tables: CodecTables):
        host = Host(program)
        self.program = program
        self.replies: list[int] = []
        self.alerts: list[int] = []
        self.samples_done = 0
        self.values = np.zeros((len(images), *program.output_shape), np.int64)
        self._images, self._tables, self._sent = images, tables, 0
        self._queue: deque[int] = deque()
        for core in program.cores:
            self._queue.extend(host.start(core).tolist())
        self._queue.extend(host.credits().tolist())
        self._n_words = tables.words_out
        self._sample: list[int] | None = None
        self._flit = Formats(program.params).flit

    def send(self, flits: Sequence[int]) -> None:
        """Queues more flits, for example READs."""
        self._queue.extend(flits)

    def offer(self) -> int | None:
        """The word that the host offers, the same one until it is taken."""
        if (
            not self._queue
            and self._sent < len(self._images)
            and self._sent < self.samples_done + AHEAD
        ):
            words = encode_sample(self.program, self._tables, self._images[self._sent])
            self._queue.extend(words.tolist())
            self._sent += 1
        return self._queue[0] if self._queue else None

    def taken(self) -> None:
        """The offered word was accepted."""
        self._queue.popleft()

    def receive(self, word: int) -> None:
        """A word has come: of a sample, or a flit.

        Raises ``ValueError`` for a flit that the codec keeps to itself.
        """
        if self._sample is not None:
            self._sample.append(word)
            if len(self._sample) == self._n_words:
                values = decode_sample(self.program, np.array(self._sample, np.uint64))
                if self.samples_done == len(self.values):
                    raise ValueError(f"host: {len(self.values)} samples were sent, one more came")
                self.values[self.samples_done] = values.reshape(self.values.shape[1:])
                self.samples_done += 1
                self._sample = None
            return
        fields = self._flit.unpack(word)
        kind = fields["kind"]
        if kind == Kind.END:
            self._sample = []
        elif kind == ALERT:
            self.alerts.append(fields["payload"] & CHUNK_MASK)
        elif kind == Kind.DATA:
            self.replies.append(fields["payload"] & CHUNK_MASK)
        else:
            raise ValueError(
                f"host: the codec must keep {Kind(kind).name} to itself while it works, got one"
            )
