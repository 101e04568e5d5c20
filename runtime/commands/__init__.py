# SPDX-License-Identifier: Apache-2.0
"""The subcommands of ``stemcore``, one module each; :mod:`.registry` finds them by looking here.

A module of this folder is a command when it defines ``NAME``; see :class:`.registry.Command` for
what else it has. What a command does lies elsewhere (``runtime.simulate``, ``runtime.check``, ..)
and is imported inside ``run``, so that ``stemcore --help`` answers at once.
"""
