# SPDX-License-Identifier: Apache-2.0
"""What goes wrong while something runs, and is not a mistake of ours."""


class EngineError(RuntimeError):
    """An engine could not finish a run: where, what must hold, what came, what to do."""
