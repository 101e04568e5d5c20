# SPDX-License-Identifier: Apache-2.0
"""An engine in one file, as somebody else would write it: it is the example of the tests."""

from stemcore.golden.reference.program_engine import run_program
from stemcore.runtime.engines.engine import ProgramEngine
from stemcore.runtime.engines.result import EngineError, RunResult


class Replay(ProgramEngine):
    """Runs the memory images a second time, and holds the two runs against each other."""

    name = "replay"
    summary = "the program's values, twice"
    aliases = ("again",)

    def run(self, program, images, *, options):
        first, second = run_program(program, images), run_program(program, images)
        for name, values in first.values.items():
            if not (values == second.values[name]).all():
                raise EngineError(f"{name}: two runs must give the same values, they differ")
        return RunResult(engine=self.name, outputs=first.outputs, values=first.values)
