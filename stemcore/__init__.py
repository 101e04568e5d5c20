# SPDX-License-Identifier: Apache-2.0
"""Quantized neural networks run, bit for bit, by spiking neurons on a mesh of cores.

The rooms ``golden``, ``hdl``, ``compiler``, ``models``, ``runtime`` and ``benchmarks`` are folders
beside this one in the repository and subpackages of it once installed (pyproject.toml maps them).
"""
