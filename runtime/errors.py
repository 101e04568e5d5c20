# SPDX-License-Identifier: Apache-2.0
"""What goes wrong while a chip runs."""


class EngineError(RuntimeError):
    """A run did not come to its end: where, what must hold, what came, what to do.

    A memory image, the gateware or the engine is wrong, so it is a fault of ours as long as the
    program is the compiler's: commands end with status 70 and ask for a report. What the user can
    mend is a ``ValueError``, and what two engines disagree in a ``Difference``.
    """
