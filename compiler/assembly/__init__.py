# SPDX-License-Identifier: Apache-2.0
"""From placed tiles to the memory images of the cores."""
