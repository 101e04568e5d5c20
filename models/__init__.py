# SPDX-License-Identifier: Apache-2.0
"""Network definitions, training recipes, data sets and checkpoints."""
