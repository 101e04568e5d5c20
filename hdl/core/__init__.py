# SPDX-License-Identifier: Apache-2.0
"""The neuron core: axon-in, dendrite, soma, axon-out and what ties them together."""
