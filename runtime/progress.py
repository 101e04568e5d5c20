# SPDX-License-Identifier: Apache-2.0
"""How a long run shows that it moves."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called now and then during a run: images done, clock cycles so far (0 without a clock)."""
