# SPDX-License-Identifier: Apache-2.0
"""The console script ``stemcore``, also as ``python -m stemcore``."""

import gc
import os
import sys
from typing import NoReturn

# Objects that are made before garbage is looked for, by the age of what is looked through. What a
# command makes (modules, traced graphs, gateware) lives as long as it does: with Python's own 700 a
# seventh of `stemcore sim` went into looking through it again and again.
GARBAGE_THRESHOLDS = (100_000, 20, 50)


def entry() -> NoReturn:
    """Runs the command line and leaves with its exit status.

    Whatever takes time to import is imported inside: from here on, Ctrl-C gives one line.
    """
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    try:
        from .runtime.commands.endings import STOPPED, end_output, open_standard_files
        from .runtime.commands.main import main

        open_standard_files()
        # What a terminal cannot show (a path that is no UTF-8) is shown by its numbers.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        status = main()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        os._exit(130)
    status = end_output() or status
    if status in STOPPED:
        os._exit(status)  # threads that are left over are not waited for
    sys.exit(status)


if __name__ == "__main__":
    entry()
