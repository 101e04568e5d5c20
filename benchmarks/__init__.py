# SPDX-License-Identifier: Apache-2.0
"""Measurements, each with the command behind its figures."""
