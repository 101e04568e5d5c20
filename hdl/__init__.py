# SPDX-License-Identifier: Apache-2.0
"""Gateware of the neuromorphic processor, in Amaranth."""
