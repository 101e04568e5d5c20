# SPDX-License-Identifier: Apache-2.0
"""The specification as executable integers: parameters, bit fields, arithmetic, networks, cores."""
