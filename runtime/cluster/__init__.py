# SPDX-License-Identifier: Apache-2.0
"""Work that outgrows a process: units that workers run, and whose results are kept as files.

A unit is a function of this project with plain arguments (:mod:`.units`). Its result is a file
named after all that it depends on (:mod:`.store`), so that an interrupted run goes on where it
was, and what has not changed is not run again. Units run in this process or on the workers of a
Dask scheduler (:mod:`.executors`); :mod:`.run` puts the three together.
"""
