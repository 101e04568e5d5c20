# SPDX-License-Identifier: Apache-2.0
"""``python -m stemcore``: the console script, where it is not on the path."""

from .runtime.commands.main import entry

entry()
