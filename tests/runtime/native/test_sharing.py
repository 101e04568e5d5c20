# SPDX-License-Identifier: Apache-2.0
"""When threads step a mesh together: where they gain time, and hardly ever where they lose it."""

import ctypes
from pathlib import Path

import pytest

from stemcore.folders import engines
from stemcore.runtime.native.build import ENGINE
from stemcore.runtime.toolchain.process import built_once, content_key, find_program, run
from stemcore.runtime.toolchain.verilator import COMPILER_HINT

pytestmark = pytest.mark.sim
SOURCE = Path(__file__).parents[2] / "support" / "sharing.cpp"
ALONE = 250  # ns for a step of a node


@pytest.fixture(scope="module")
def functions():
    sources = [SOURCE, ENGINE.with_name("sharing.h")]
    with built_once(engines(), "sharing", content_key(sources)) as (folder, empty):
        if empty:
            compiler = find_program("g++", hint=COMPILER_HINT)
            run(
                [
                    compiler,
                    "-std=c++20",
                    "-shared",
                    "-fPIC",
                    f"-I{ENGINE.parent}",
                    sources[0],
                    "-o",
                    folder / "sharing.so",
                ],
                cwd=folder,
            )
    loaded = ctypes.CDLL(str(folder / "sharing.so"))
    loaded.sharing_create.restype = ctypes.c_void_p
    loaded.sharing_run.restype = ctypes.c_int64
    return loaded


class Sharing:
    """A policy and its made-up clock, in ns."""

    def __init__(self, functions, workers, least=3):
        self.functions, self.now = functions, ctypes.c_int64(10**9)
        self.handle = ctypes.c_void_p(functions.sharing_create(workers, least))

    def run(self, cycles, nodes, together):
        """Share of the cycles that several threads stepped, and the time a cycle took."""
        before = self.now.value
        numbers = map(ctypes.c_int64, (cycles, nodes, ALONE, together))
        shared = self.functions.sharing_run(self.handle, ctypes.byref(self.now), *numbers)
        return shared / cycles, (self.now.value - before) / cycles


@pytest.fixture
def sharing(functions):
    made = []

    def make(*options):
        made.append(Sharing(functions, *options))
        return made[-1]

    yield make
    for one in made:
        functions.sharing_destroy(one.handle)


def test_threads_that_gain_time_stay(sharing):
    shared, _ = sharing(2).run(100_000, 12, 2000)
    assert shared > 0.99


@pytest.mark.parametrize(("workers", "nodes"), [(1, 12), (2, 5), (4, 11)])
def test_too_few_nodes_are_for_one_thread(sharing, workers, nodes):
    assert sharing(workers).run(100_000, nodes, 100) == (0.0, ALONE * nodes)


def test_threads_follow_the_nodes_at_work(sharing):
    policy = sharing(2)
    assert [round(policy.run(10_000, nodes, 1000)[0], 1) for nodes in (12, 2, 12)] == [1, 0, 1]


def test_threads_that_wait_for_a_processor_cost_little(sharing):
    """A cycle together takes a millisecond: a thousand cycles alone, most of them not spent."""
    shared, cycle = sharing(2).run(2_000_000, 12, 1_000_000)
    assert 0 < shared < 0.001
    assert cycle < 1.05 * ALONE * 12


def test_threads_come_back_when_the_processor_is_free_again(sharing):
    policy = sharing(2)
    policy.run(1_000_000, 12, 1_000_000)
    policy.run(3_000_000, 12, 1500)  # as long as the longest wait
    assert policy.run(100_000, 12, 1500) == (1.0, 1500)


def test_time_between_two_runs_is_not_counted(sharing):
    policy = sharing(2)
    assert policy.run(100_000, 12, 1500)[0] > 0.99
    for _ in range(100):
        policy.now.value += 10**9
        assert policy.run(100, 12, 1500) == (1.0, 1500)


def test_always_means_always(sharing):
    assert sharing(2, 0).run(10_000, 1, 1_000_000) == (1.0, 1_000_000)
