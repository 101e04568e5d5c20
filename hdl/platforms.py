# SPDX-License-Identifier: Apache-2.0
"""Platforms to elaborate for, where what is short in gates is long in instructions.

A component may look at the platform for the form in which it says something, never for what it
says: its outputs are the same in every cycle.
"""

PROCESSOR = "processor"  # a simulator compiled to instructions; any other platform is gates
MACHINE_WORD = 32  # bits of the words in which such a simulator keeps wide values
