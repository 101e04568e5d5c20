# SPDX-License-Identifier: Apache-2.0
"""The host's side of a chip: buses, registers and the crossing to the chip's clock."""
