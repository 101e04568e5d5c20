# SPDX-License-Identifier: Apache-2.0
"""From a chip to a bitstream: synthesis, block memories, place and route, report."""
