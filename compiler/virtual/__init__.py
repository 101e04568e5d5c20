# SPDX-License-Identifier: Apache-2.0
"""Virtual cores: a program on a chip with fewer cores, loaded group by group."""
