# SPDX-License-Identifier: Apache-2.0
"""Units to results: those of before are found, the others are run and kept as they come."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stemcore.folders import results

from ..progress import Progress
from .executors import NONE, open_executor
from .store import MISSING, Store
from .units import Unit

FOLDER = "units"  # in sim_build


def run_units(
    units: Sequence[Unit],
    *,
    cluster: str = NONE,
    folder: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int], Progress] | None = None,
) -> list[Any]:
    """The result of every unit, in the order of ``units``; of equal ones each is run once.

    A result is kept in ``folder`` (default: ``sim_build/units``) as soon as it is there. So a run
    that is interrupted, or whose client is killed, loses what was being run, and the next one goes
    on; which workers ran what, and how often, changes nothing.

    cluster : where units run, see :mod:`.executors`
    progress : gets the number of units to run, and returns what is told of those that are done

    Raises what a unit raises; results that came before it are kept.
    """
    store = Store(folder or results() / FOLDER)
    found = {unit.key: store.find(unit) for unit in units}
    missing = {unit.key: unit for unit in units if found[unit.key] is MISSING}
    said = f"{len(found) - len(missing)} of {len(found)} units are there from before"
    if not missing:
        say(f"units        {said}")
        return [found[unit.key] for unit in units]
    with open_executor(cluster, len(missing)) as executor:
        say(f"units        {said}; {len(missing)} run on {executor.name}")
        tell = progress(len(missing)) if progress else (lambda done, cycles: None)
        tell(0, 0)
        for done, (unit, result) in enumerate(executor.run(list(missing.values())), 1):
            found[unit.key] = store.keep(unit, result)
            tell(done, 0)
    return [found[unit.key] for unit in units]
