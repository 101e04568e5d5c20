# SPDX-License-Identifier: Apache-2.0
"""``stemcore sweep``: one network with many settings, each measured once.

:mod:`.axes` reads which settings there are, :mod:`.point` measures one, :mod:`.sweep` all of them;
:mod:`.tables` and :mod:`.page` show what was found.
"""
