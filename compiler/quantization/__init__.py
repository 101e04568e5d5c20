# SPDX-License-Identifier: Apache-2.0
"""Integers of every layer, chosen from weights and calibration images."""
