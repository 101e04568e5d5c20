# SPDX-License-Identifier: Apache-2.0
"""This project beside other accelerators: rows that are measured here, and rows that are quoted.

``python -m stemcore.benchmarks.peers`` measures ours, and writes ``peers.json`` beside this file
and ``docs/peers.md``. What others reach stands in :mod:`.quoted`, each row with where it is from.
"""
