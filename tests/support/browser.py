# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, spoken to over its DevTools protocol.

``--remote-debugging-pipe``: the browser reads commands from descriptor 3 and writes answers and
events to descriptor 4, JSON texts that end with a zero byte. No port, no driver, no package.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
HOW = "no browser; Debian: apt-get install chromium-headless-shell (or set BROWSER_PATH)"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-pipe",
)
TIMEOUT = 120.0  # seconds for one answer: the machine may be busy


def find_browser() -> str | None:
    """Path of a Chromium: ``BROWSER_PATH``, or the first of ``NAMES`` that is installed."""
    named = os.environ.get("BROWSER_PATH")
    return named or next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """A browser with one page, to be used in a ``with``.

    Attributes
    ----------
    messages : list of str
        What scripts, the page's policy and the loader complained of or logged.
    requests : list of str
        Addresses that were asked for, the page's own among them; data: URLs are left out.
    """

    def __init__(self, path: str, folder: Path):
        self.path, self.folder = path, folder
        self.messages: list[str] = []
        self.requests: list[str] = []
        self._events: list[str] = []
        self._buffer = b""
        self._number = 0
        self._session: str | None = None

    def __enter__(self) -> "Browser":
        # Ends that the browser gets lie above 9, so that none is overwritten while it is moved.
        commands, self._to = os.pipe()
        self._from, answers = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (commands, answers)]
        log = str(self.folder / "browser.log")
        self._pid = os.posix_spawn(
            self.path,
            [self.path, *FLAGS, f"--user-data-dir={self.folder / 'profile'}"],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, ends[0], 3),
                (os.POSIX_SPAWN_DUP2, ends[1], 4),
                (os.POSIX_SPAWN_OPEN, 2, log, os.O_WRONLY | os.O_CREAT, 0o600),
            ],
        )
        for end in (commands, answers, *ends):
            os.close(end)
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._to, self._from):
            os.close(end)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command; ``RuntimeError`` where the browser refuses it."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read(method)).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _read(self, awaited: str) -> dict[str, Any]:
        end = time.monotonic() + TIMEOUT
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0, end - time.monotonic()))
            more = os.read(self._from, 1 << 16) if ready else b""
            if not more:
                why = "ended" if ready else f"said nothing for {TIMEOUT:g} s"
                log = (self.folder / "browser.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.path}: {why}, awaiting {awaited}\n{log}")
            self._buffer += more
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        if "method" in message:
            self._note(message["method"], message["params"])
        return message

    def _note(self, event: str, values: dict[str, Any]) -> None:
        self._events.append(event)
        if event == "Network.requestWillBeSent":
            url = values["request"]["url"]
            if not url.startswith("data:"):
                self.requests.append(url)
        elif event == "Runtime.consoleAPICalled":
            self.messages.append(f"{values['type']}: {values['args']}")
        elif event == "Runtime.exceptionThrown":
            self.messages.append(str(values["exceptionDetails"]))
        elif event == "Log.entryAdded":
            self.messages.append(values["entry"]["text"])

    def open(
        self,
        path: Path,
        *,
        width: int = 1280,
        script: bool = True,
        dark: bool = False,
        paper: bool = False,
    ) -> None:
        """Loads a file and waits until it is shown.

        dark : to a reader who prefers that
        paper : as it will be printed, on a sheet that is ``width`` pixels wide between its margins
        """
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        media = "print" if paper else ""  # else as whatever asks shows it
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        for notes in (self.messages, self.requests, self._events):
            notes.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while "Page.loadEventFired" not in self._events:
            self._read("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression, as JSON carries it."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """The whole page, as PNG."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return b64decode(answer["data"])

    def pdf(self) -> bytes:
        """The page as it prints, on the paper that its style asks for."""
        answer = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        return b64decode(answer["data"])
