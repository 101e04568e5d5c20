# SPDX-License-Identifier: Apache-2.0
"""From a torch model to memory images.

``capture -> check_compatible -> quantize -> lower -> prove_ranges -> partition -> place ->
assemble``: pure
functions over frozen intermediate representations, each result checked, saved and reloadable.
Import the stages from their modules: torch is needed by ``capture`` and ``quantize`` alone.
"""
