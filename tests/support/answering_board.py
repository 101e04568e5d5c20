# SPDX-License-Identifier: Apache-2.0
"""A board of a few lines behind a pseudo-terminal: what it answers is a test's to say."""

import os
import threading
import tty
from contextlib import contextmanager

from stemcore.golden.spec.uart_frames import Frame, FrameKind, FrameReader


@contextmanager
def terminal():
    """Our end of a pseudo-terminal, and the name of the other."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    try:
        yield ours, os.ttyname(theirs)
    finally:
        os.close(theirs)
        os.close(ours)


@contextmanager
def answering(answer):
    """A port behind which ``answer(frame)`` gives the frames to send for each that comes."""
    with terminal() as (ours, name):
        stop = threading.Event()

        def serve():
            reader = FrameReader()
            while not stop.is_set():
                for frame in reader.read(os.read(ours, 4096)):
                    if frame is not None:
                        os.write(ours, b"".join(f.to_bytes() for f in answer(frame)))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield name
        finally:
            stop.set()
            other = os.open(name, os.O_RDWR | os.O_NOCTTY)
            os.write(other, b"\x7e")  # wakes the thread
            thread.join()
            os.close(other)


def answer_as_chip(frame):
    """What a chip of session 4 says; every register is 5, and the one at 8 is refused."""
    if frame.kind == FrameKind.FLITS:
        return [Frame(kind=FrameKind.FLITS, session=frame.session or 4)]
    if frame.kind == FrameKind.CONNECT:
        return [Frame(kind=FrameKind.CONNECT, session=frame.session)]
    refused = frame.payload[0] == 8
    payload = (2 if refused else 5 << 32).to_bytes(8, "little")
    return [Frame(kind=frame.kind, session=frame.session, sequence=frame.sequence, payload=payload)]
