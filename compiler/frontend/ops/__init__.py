# SPDX-License-Identifier: Apache-2.0
"""Operators of the float graph, a file each (or for a few that belong together).

A file holds all that the compiler knows of its operator: parameters, shape of the result, what it
asks of its operands, a torch reference, and the ATen calls that it is captured from
(:func:`stemcore.compiler.frontend.fx.captures`). An operator that is a convolution in another
spelling says so in ``as_convolution``; nothing else in the compiler has to know it then.
"""
