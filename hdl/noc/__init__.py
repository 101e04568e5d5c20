# SPDX-License-Identifier: Apache-2.0
"""The network on chip: queues, routers, the mesh."""
