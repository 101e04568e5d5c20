# SPDX-License-Identifier: Apache-2.0
"""Tables of activations that make spikes fewer: by name, from a file, or searched."""
