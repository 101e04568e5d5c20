# SPDX-License-Identifier: Apache-2.0
"""A mesh stepped by several threads does in every cycle what one thread does."""

import numpy as np
import pytest

from stemcore.benchmarks.meshes import busy_program
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.native import verilated_mesh as native_mesh
from stemcore.runtime.native import watchdog
from stemcore.runtime.native.build import build
from stemcore.runtime.native.verilated_mesh import (
    MAX_THREADS,
    USUAL_THREADS,
    VerilatedMesh,
    default_threads,
)
from tests.support.chip_programs import mesh_case, stepped_case
from tests.support.links import OUT, configured, native_links, random_flits, run_images

TOGETHER = {"least": 0}  # also where hardly a node is at work


@pytest.mark.sim
@pytest.mark.parametrize("name", ["2x2", "3x3", "late"])
@pytest.mark.parametrize("threads", [2, 3, MAX_THREADS])
def test_every_link_is_the_same_with_several_threads(name, threads):
    if name == "late":
        _, program, images = stepped_case(name)
    else:
        _, program, images = mesh_case(*map(int, name.split("x")))
        images = images[:2]
    alone = native_links(program, images)
    np.testing.assert_array_equal(native_links(program, images, threads=threads, **TOGETHER), alone)


@pytest.mark.sim
@pytest.mark.parametrize("threads", [2, 3])
def test_random_traffic_is_the_same_with_several_threads(threads, rng):
    _, program, _ = mesh_case(3, 3)
    flits = random_flits(rng, program, 600)
    links = []
    for options in ({}, {"threads": threads, **TOGETHER}):
        with configured(program, **options) as mesh:
            for core in program.cores:
                mesh.send(mesh.host.start(core))
            mesh.send(flits)
            mesh.run(limit=6000)
            links.append(mesh.links())
            assert (mesh.shared_cycles > 1000) == bool(options)
    np.testing.assert_array_equal(*links)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("size", "options", "share"),
    [
        ((4, 3), {"threads": 1, "least": 0}, 0.0),
        ((4, 3), {"threads": 5}, 0.0),
        ((1, 1), {"threads": 2}, 0.0),
        ((4, 3), {"threads": 2, "least": 0}, 1.0),
    ],
)
def test_threads_are_for_enough_nodes_at_work(size, options, share):
    program, images = busy_program(*size, "tiny")
    with VerilatedMesh(build(program.params, OUT), program, **options) as mesh:
        for core in program.cores:
            mesh.load(core)
        watchdog.settled(mesh)
        run_images(mesh, images[:2])
        assert mesh.shared_cycles == share * mesh.cycle


@pytest.mark.sim
def test_a_run_on_several_threads_gives_the_same_results():
    _, program, images = mesh_case(3, 3)
    runs = [run_engine("verilator", program, images[:2], out_dir=OUT, threads=n) for n in (1, 3)]
    assert [run.notes["threads"] for run in runs] == [1, 3]
    for name, values in runs[0].values.items():
        np.testing.assert_array_equal(runs[1].values[name], values, name)
    assert runs[0].counters == runs[1].counters
    assert runs[0].timing.total == runs[1].timing.total
    assert runs[0].notes["node_cycles"] == runs[1].notes["node_cycles"]


@pytest.mark.sim
@pytest.mark.parametrize("threads", [0, MAX_THREADS + 1])
def test_too_many_threads_are_refused(threads):
    _, program, _ = mesh_case(2, 2)
    message = rf"^threads: must lie in 1\.\.{MAX_THREADS}, got {threads}$"
    with pytest.raises(ValueError, match=message):
        VerilatedMesh(build(program.params, OUT), program, threads=threads)


@pytest.mark.parametrize(
    ("text", "processors", "threads"),
    [
        ("", 2, 2),
        ("", 1, 1),
        ("", 64, USUAL_THREADS),
        ("1", 2, 1),
        ("3", 2, 3),
        ("4,2", 1, 4),
        ("100", 2, MAX_THREADS),
        ("0", 2, 2),
        ("many", 2, 2),
    ],
)
def test_threads_follow_the_environment_and_the_processors(text, processors, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    monkeypatch.setattr(native_mesh, "n_processors", lambda: processors)
    assert default_threads() == threads
