# SPDX-License-Identifier: Apache-2.0
"""Functions of units, where worker processes find them."""

import os
import signal
import time
from pathlib import Path


def square(arguments, blobs):
    """The square of ``number``, and the bytes of all blobs added up; leaves a line in ``log``."""
    if "log" in arguments:
        with Path(arguments["log"]).open("a") as log:
            log.write(f"{arguments['number']}\n")
    time.sleep(arguments.get("seconds", 0))
    return {"square": arguments["number"] ** 2, "blobs": sum(sum(b) for b in blobs.values())}


def square_or_die(arguments, blobs):
    """As :func:`square`; the first process that is given a number of ``fatal`` dies at it."""
    marker = Path(arguments["markers"]) / str(arguments["number"])
    if arguments["number"] in arguments["fatal"] and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square({"number": arguments["number"]}, blobs)


def always_die(arguments, blobs):
    """Ends every worker."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(arguments, blobs):
    """Fails as a unit may, at ``number`` 2."""
    if arguments["number"] == 2:
        raise ValueError("number: must not be 2")
    return arguments["number"]
