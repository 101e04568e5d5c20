# SPDX-License-Identifier: Apache-2.0
"""Golden's integer network: skip buffers on skips, 16-bit integration, proofs of range."""
