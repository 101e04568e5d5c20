# SPDX-License-Identifier: Apache-2.0
"""What a command shows while it works: stage lines, signs of life, a bar for the simulation.

On a terminal the last line lives: it says what is being done and for how long, and goes when the
stage ends. In a log, or wherever standard error is no terminal, there are whole lines alone, a few
a minute, and no carriage return.
"""

import logging
import os
import sys
import threading
import time
from typing import TextIO

from tqdm import tqdm

from ..progress import Progress
from ..report.screen import LINE_WIDTH, NAME_WIDTH, entry

QUIET_S, TICK_S = 1.0, 0.25  # a stage that says nothing for so long gets a living line; its refresh
LOG_S = 15.0  # seconds between signs of life in a log
LOGGER = "stemcore"  # whose messages of level INFO are stages too: builds tell of themselves

BUILD = "build"  # the stage of a message that names none


def columns(stream: TextIO) -> int:
    """Width of the terminal behind a stream; ``LINE_WIDTH`` where there is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or LINE_WIDTH
    except (OSError, ValueError):  # no terminal; a stream without a file
        return LINE_WIDTH


class Display:
    """Stages of one command, from the first line to the end of the ``with`` block.

    out, err : streams; default: standard output for lines, standard error for what lives
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out, self._err = out or sys.stdout, err or sys.stderr
        self._live = self._err.isatty()
        self._lock = threading.RLock()
        self._stage, self._text = "", ""
        self._began = self._shown = time.monotonic()
        self._bar: tqdm | None = None
        self._counting = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._signs, daemon=True, name="signs of life")
        self._handler = _Stages(self)

    def __enter__(self) -> "Display":
        logger = logging.getLogger(LOGGER)
        self._level = logger.level
        logger.addHandler(self._handler)
        logger.setLevel(logging.INFO)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        logger = logging.getLogger(LOGGER)
        logger.removeHandler(self._handler)
        logger.setLevel(self._level)
        with self._lock:
            self._clear()

    def say(self, line: str) -> None:
        """A stage begins: ``name  text``. What lived of the one before goes."""
        name, _, text = line.partition(" ")
        with self._lock:
            self._clear()
            self._stage, self._text = name, text.strip()
            self._began = self._shown = time.monotonic()
            width = columns(self._out)
            shown = entry(name, text.strip(), width) if name else line
            print(shown, file=self._out, flush=True)

    def count(
        self,
        n_images: int,
        cycles: float | None = None,
        *,
        stage: str = "simulate",
        what: str = "images",
    ) -> Progress:
        """What to tell of ``n_images`` that go through ``stage``, which takes about ``cycles``.

        The bar is one of cycles, since images come out late and many at once; of images where
        ``cycles`` is None. It begins with the first call and ends with the last image. ``what`` is
        counted where it is something else.
        """
        began = 0.0

        def tell(images: int, done: int) -> None:
            nonlocal began
            with self._lock:
                if not began:
                    began = time.monotonic()
                    self._begin_count(stage, int(cycles) if cycles else n_images)
                elif not self._counting:
                    return
                now = time.monotonic()
                clock = f", {done:,} cycles" if done else ""
                if images >= n_images:
                    self._clear()
                    self.say(f"{stage} {n_images} {what}{clock}, {now - began:.1f} s")
                    return
                text = f"{images} of {n_images} {what}{clock}"
                if self._bar is not None:
                    self._bar.n = min(done if cycles else images, self._bar.total)
                    self._bar.set_description_str(text, refresh=False)
                    if now - self._shown >= TICK_S:
                        self._bar.refresh()
                        self._shown = now
                elif now - self._shown >= LOG_S:
                    self._sign(f"{text}, {now - began:.0f} s", now)

        return tell

    def _begin_count(self, stage: str, total: int) -> None:
        self._clear()
        self._stage, self._counting = stage, True
        self._shown = time.monotonic()
        if self._live:
            self._bar = tqdm(
                total=total,
                file=self._err,
                leave=False,
                dynamic_ncols=True,
                bar_format=f"{self._stage:<{NAME_WIDTH}} "
                "{percentage:3.0f}% |{bar}| {desc} {elapsed}<{remaining}",
            )

    def _signs(self) -> None:
        """Thread: says that a stage still goes on."""
        while not self._over.wait(TICK_S):
            with self._lock:
                now = time.monotonic()
                if not self._stage or self._counting:
                    continue
                elapsed = now - self._began
                if not self._live:
                    if now - self._shown >= LOG_S:
                        self._sign(f"still at it after {elapsed:.0f} s", now)
                elif elapsed >= QUIET_S:
                    if self._bar is None:
                        self._bar = tqdm(
                            file=self._err, leave=False, dynamic_ncols=True, bar_format="{desc}"
                        )
                    room = columns(self._err) - 1
                    line = f"{'':<{NAME_WIDTH}} .. {elapsed:.0f} s"
                    self._bar.set_description_str(line[:room])

    def _sign(self, text: str, now: float) -> None:
        """A whole line on standard error."""
        self._shown = now
        print(entry(self._stage, text, LINE_WIDTH), file=self._err, flush=True)

    def _clear(self) -> None:
        """Takes the living line away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._counting = False


class _Stages(logging.Handler):
    """Messages of the package's modules as stages; their attribute ``stage`` is the name."""

    def __init__(self, display: Display) -> None:
        super().__init__(logging.INFO)
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        """Shows one."""
        self._display.say(f"{getattr(record, 'stage', BUILD)} {record.getMessage()}")
