# SPDX-License-Identifier: Apache-2.0
"""From layers to tiles, one a core, and from tiles to nodes of the mesh."""
