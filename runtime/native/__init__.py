# SPDX-License-Identifier: Apache-2.0
"""The compiled node and the mesh of nodes that is stepped in C++."""
