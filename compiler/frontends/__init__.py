# SPDX-License-Identifier: Apache-2.0
"""What a network can come as. One file is one frontend, found by the type or suffix it names.

A file of this folder defines ``FRONTEND``, a ``Frontend`` of :mod:`.registry`; nothing else has to
be told of it.
"""
