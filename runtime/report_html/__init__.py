# SPDX-License-Identifier: Apache-2.0
"""report.html: a run as one page that needs nothing beside it, neither files nor a network."""

from .page import write_page
from .run import Run

__all__ = ["Run", "write_page"]
