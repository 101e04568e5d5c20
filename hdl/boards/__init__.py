# SPDX-License-Identifier: Apache-2.0
"""The boards that a chip is built for: one file, one board; see ``board.py``."""
