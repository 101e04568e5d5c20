# SPDX-License-Identifier: Apache-2.0
"""``make tables``: the counterparts of the paper's tables for the networks trained here."""
