# SPDX-License-Identifier: Apache-2.0
"""Engines that run a program: one file each, found by the registry."""
