# SPDX-License-Identifier: Apache-2.0
"""The console script ``stemcore``, also as ``python -m stemcore``."""

import os
import sys
from typing import NoReturn


def entry() -> NoReturn:
    """Runs the command line and leaves with its exit status.

    Whatever takes time to import is imported inside: from here on, Ctrl-C gives one line.
    """
    try:
        from .runtime.commands.endings import STOPPED, quiet_output
        from .runtime.commands.main import main

        status = main()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        os._exit(130)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = quiet_output()
    if status in STOPPED:
        os._exit(status)  # threads that are left over are not waited for
    sys.exit(status)


if __name__ == "__main__":
    entry()
