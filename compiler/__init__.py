# SPDX-License-Identifier: Apache-2.0
"""From a torch model to memory images.

A network goes through the rooms in this order; each reads only those before it:

``frontend``
    torch program to a graph of layers that the chip has; refuses what it has not.
``quantization``
    Integer weights, biases and scales from calibration images.
``sparsity``
    A table of activations for every layer, named by the user or searched.
``lowering``
    Golden's integer network: skip buffers on skips, 16-bit integration, proofs of range.
``mapping``
    Layers to tiles, tiles to nodes of the mesh.
``assembly``
    Memory images of the cores.
``estimation``
    Cycles and link loads of a program, and the gaps between spikes that follow.

Pure functions over frozen intermediate representations; ``backend`` calls the last three in turn,
with a check after each. Import from the modules: torch is needed by ``frontend`` and
``quantization`` alone.
"""
