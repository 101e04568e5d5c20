# SPDX-License-Identifier: Apache-2.0
"""From a torch program to a graph of layers that the chip has, or a refusal that says why."""
