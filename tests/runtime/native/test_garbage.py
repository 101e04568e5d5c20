# SPDX-License-Identifier: Apache-2.0
"""Whatever a chip is sent, at whatever moment: right results, or an error that the host can read.

And STOP ends every state that it is left in: the next images are right.
"""

import numpy as np
import pytest

from stemcore.folders import engines
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.errors import Error, watchdog_cycles
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.registers import Control
from stemcore.runtime.engines.compare import sent_values
from stemcore.runtime.host.errors import core_errors
from stemcore.runtime.native import verilated_mesh as native_mesh
from stemcore.runtime.native import watchdog
from stemcore.runtime.native.build import build
from stemcore.runtime.native.run import record
from stemcore.runtime.native.verilated_mesh import Status, VerilatedMesh
from tests.support import evidence
from tests.support.chip_programs import four_core_case, stepped_case
from tests.support.garbage import KINDS, garbage

pytestmark = pytest.mark.sim
OUT = engines()
WATCHDOG = 8  # 4096 cycles: more than any core here works for
PATIENCE = 6000
LIMIT = 400_000
# Kinds whose flits may be taken for those that are due: they may cost a sample, not silently.
MAY_BE_DUE = {
    "END",
    "many ENDs",
    "CREDIT",
    "many CREDITs",
    "PACE to hold",
    "many PACEs to hold",
    "PACE to go on",
    "many PACEs to go on",
    "STOP of some cores",
    "random words",
}
# The host itself takes cores out of a sample and lets them go on: it knows that this one is lost.
RESTARTS = {"STOP in an answer, and START", "STOP in a word, and START"}
# Kinds that a core may get without having seen an error, at least at some moments.
MAY_BE_QUIET = (
    MAY_BE_DUE
    | RESTARTS
    | {
        "READs without waiting",  # it could answer in time
        "READs of all nodes at once",
        "spike beyond a margin",  # where all values of all coordinates are somebody's
        "STOP and START in one word",  # where there is no core that runs
    }
)


class Trial:
    """A mesh with a program that can be run, disturbed, stopped, and run again."""

    def __init__(self, mesh, network, program, images):
        self.mesh, self.program, self.images = mesh, program, images
        self.layers = network.layers
        self.expected = sent_values(program, run_network(network, images))
        self.all_nodes = (0, 1, program.columns - 1, program.rows)
        for core in program.cores:
            mesh.load(core)
        mesh.send(mesh.host.write(self.all_nodes, Control.WATCHDOG, WATCHDOG))
        watchdog.settled(mesh)
        self.n_cycles = self.run_undisturbed()

    def start(self):
        """Hands the host its images; returns what layers will have fired."""
        values, _ = record(self.mesh, len(self.images))
        for core in self.program.cores:
            self.mesh.send(self.mesh.host.start(core))
        self.mesh.prepare_host(self.images)
        return values

    def is_right(self, values):
        return all(
            np.array_equal(values[layer.name], self.expected[layer.name] & ((1 << layer.bits) - 1))
            for layer in self.layers
        )

    def run_undisturbed(self):
        """The images; returns how many cycles they took."""
        values, began = self.start(), self.mesh.cycle
        assert self.mesh.run(samples=len(self.images), limit=LIMIT) is Status.DONE
        n_cycles = self.mesh.cycle - began
        watchdog.settled(self.mesh)
        assert self.mesh.alerts() == []
        assert self.is_right(values)
        self.stop()
        return n_cycles

    def stop(self):
        """All cores, twice: tokens may have come late."""
        mesh = self.mesh
        mesh.send(mesh.host.stop(self.all_nodes))
        assert mesh.settle(LIMIT) is Status.DONE
        mesh.send(mesh.host.command(self.all_nodes, stop=1, clear_errors=1))
        assert mesh.settle(LIMIT) is Status.DONE
        mesh.forget()
        for core in self.program.cores:
            (word,) = mesh.read(core, Memory.CONTROL, Control.ERRORS)
            assert core_errors(mesh.formats, word).causes == ()
            (status,) = mesh.read(core, Memory.CONTROL, Control.STATUS)
            assert status == 0
        mesh.forget()

    def run_disturbed(self, flits, moment):
        """Sends ``flits`` after ``moment`` cycles, back to back.

        Returns whether results were right, what cores saw, and whether one has stopped.
        """
        mesh = self.mesh
        values = self.start()
        if moment:
            mesh.run(samples=len(self.images), limit=moment)
        mesh.send(flits)
        status = mesh.run(samples=len(self.images), limit=LIMIT)
        mesh.settle(LIMIT)
        is_right = status is Status.DONE and self.is_right(values)
        alerts = [core_errors(mesh.formats, word) for word in mesh.alerts()]
        # Whatever state it is in: the host can read it.
        mesh.forget()
        told = {errors.node for errors in alerts if errors.causes}
        is_stopped = False
        for core in self.program.cores:
            (word,) = mesh.read(core, Memory.CONTROL, Control.ERRORS)
            errors = core_errors(mesh.formats, word)
            assert bool(errors.causes) == (errors.node in told)
            (flags,) = mesh.read(core, Memory.CONTROL, Control.FLAGS)
            is_stopped |= not mesh.formats.flags.unpack(flags)["running"]
        return is_right, alerts, is_stopped


def random_nodes(rng, program):
    """A node, with a core or without one, or all."""
    if rng.random() < 0.4:
        return (0, 1, program.columns - 1, program.rows)
    x, y = int(rng.integers(program.columns)), int(rng.integers(1, program.rows + 1))
    return (x, y, x, y)


def disturb(case, kinds, n_moments, rng, monkeypatch):
    monkeypatch.setattr(native_mesh, "PATIENCE", PATIENCE)
    network, program, images = case
    n_right = 0
    with VerilatedMesh(build(program.params, OUT), program) as mesh:
        trial = Trial(mesh, network, program, images)
        for kind in kinds:
            for _ in range(n_moments):
                moment, nodes = int(rng.integers(trial.n_cycles)), random_nodes(rng, program)
                where = f"{kind} in cycle {moment} for {nodes}"
                is_right, alerts, is_stopped = trial.run_disturbed(
                    garbage(kind, mesh.host, rng, nodes), moment
                )
                if kind not in RESTARTS:
                    assert is_right or alerts or is_stopped, f"{where}: silently wrong"
                    assert is_right or kind in MAY_BE_DUE, f"{where}: wrong, {alerts}"
                assert all(errors.causes for errors in alerts), where
                assert alerts or kind in MAY_BE_QUIET, f"{where}: nobody saw an error"
                assert not is_stopped or kind == "STOP of some cores", where
                n_right += is_right
                trial.stop()
                trial.run_undisturbed()
                evidence.record("garbage", kind_of=kind, moment=moment, is_right=is_right)
    return n_right


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_garbage_ends_in_right_results_or_in_an_error(kind, rng, monkeypatch):
    disturb(four_core_case(int(rng.integers(4))), [kind], 6, rng, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["late", "scaled"])
def test_garbage_among_time_steps(mode, rng, monkeypatch):
    disturb(stepped_case(mode), KINDS, 1, rng, monkeypatch)


def test_some_garbage_at_some_moments(rng, monkeypatch):
    kinds = rng.choice(list(KINDS), 8, replace=False).tolist()
    disturb(four_core_case(1), kinds, 1, rng, monkeypatch)


def test_stop_while_the_watchdog_tells(rng, monkeypatch):
    """All cores are held until their watchdogs expire; STOP comes in each cycle about then."""
    monkeypatch.setattr(native_mesh, "PATIENCE", PATIENCE)
    network, program, images = four_core_case(int(rng.integers(4)))
    n_told = 0
    with VerilatedMesh(build(program.params, OUT), program) as mesh:
        trial = Trial(mesh, network, program, images)
        hold = garbage("PACE to hold", mesh.host, rng, trial.all_nodes)
        moment = int(rng.integers(watchdog_cycles(1)))  # before any could expire

        def be_held():
            mesh.send(mesh.host.write(trial.all_nodes, Control.WATCHDOG, 1))
            watchdog.settled(mesh)
            trial.start()
            mesh.run(samples=len(images), limit=moment)
            mesh.send(hold)

        def begin_anew():
            mesh.send(mesh.host.write(trial.all_nodes, Control.WATCHDOG, WATCHDOG))
            trial.stop()
            trial.run_undisturbed()

        be_held()
        began = mesh.cycle
        while not mesh.alerts():
            assert mesh.run(samples=len(images), limit=1) is Status.LIMIT
        first = mesh.cycle - began
        mesh.send(mesh.host.stop(trial.all_nodes))
        assert mesh.settle(LIMIT) is Status.DONE
        begin_anew()
        for after in range(max(1, first - 24), first + 8):
            be_held()
            mesh.run(samples=len(images), limit=after)
            mesh.send(mesh.host.stop(trial.all_nodes))
            assert mesh.settle(LIMIT) is Status.DONE
            alerts = [core_errors(mesh.formats, word) for word in mesh.alerts()]
            mesh.forget()
            told = [errors.node for errors in alerts]
            assert len(set(told)) == len(told)
            for core in program.cores:
                (word,) = mesh.read(core, Memory.CONTROL, Control.ERRORS)
                errors = core_errors(mesh.formats, word)
                assert bool(errors.causes) == (errors.node in told)
            assert all(errors.causes for errors in alerts)
            n_told += any(Error.STANDSTILL in errors.causes for errors in alerts)
            begin_anew()
    assert n_told >= 8
