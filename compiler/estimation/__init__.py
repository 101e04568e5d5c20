# SPDX-License-Identifier: Apache-2.0
"""Cycles and link loads of a program before it runs, and the gaps of spikes that follow."""
