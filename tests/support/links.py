# SPDX-License-Identifier: Apache-2.0
"""What stands on all links of a compiled mesh in every cycle, of programs and of random traffic."""

from contextlib import contextmanager

import numpy as np

from stemcore.folders import engines
from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.runtime.native import watchdog
from stemcore.runtime.native.build import build
from stemcore.runtime.native.verilated_mesh import VerilatedMesh

OUT = engines()


@contextmanager
def configured(program, **options):
    """A mesh that keeps its links, with the program written over them."""
    with VerilatedMesh(build(program.params, OUT), program, **options) as mesh:
        mesh.links()
        for core in program.cores:
            mesh.send(mesh.host.configuration(core))
        watchdog.settled(mesh)
        yield mesh


def random_flits(rng, program, n):
    """Flits of all kinds to random rectangles of nodes, the host's row among them.

    Whoever is asked to hold is asked to go on later, or nothing would come to rest.
    """
    formats = Formats(program.params)
    memories = [int(memory) for memory in Memory]
    flits, going_on = [], []
    for _ in range(n):
        kind = Kind(rng.choice(len(Kind), p=[0.55, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05]))
        x0, x1 = sorted(rng.integers(0, program.columns, 2).tolist())
        y0, y1 = sorted(rng.integers(0 if x0 == 0 else 1, program.rows + 1, 2).tolist())
        if kind in (Kind.READ, Kind.DATA) or rng.random() < 0.5:
            x1, y1 = x0, y0
        if y0 == 0:  # only what lies above node (0, 1) leads to the host
            x0 = x1 = 0
        payload = int(rng.integers(0, 1 << formats.spike.width))
        if kind is Kind.SPIKE:
            core = program.cores[rng.integers(len(program.cores))]
            axons = len(core.memories[Memory.AXON])
            payload = formats.spike.pack(
                axon=int(rng.integers(axons)),
                t=int(rng.integers(8)),
                c=int(rng.integers(8)),
                y=int(rng.integers(8)),
                x=int(rng.integers(8)),
            )
        elif kind is Kind.PACE:
            hold, go = (formats.spike.pack(axon=0, t=t, c=0, y=0, x=0) for t in (1, 0))
            at = {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
            going_on.append(formats.flit.pack(kind=int(kind), **at, payload=go))
            payload = hold
        elif kind is Kind.ADDRESS:
            address = int(rng.integers(64))
            payload = formats.pointer.pack(
                memory=int(rng.choice(memories)), chunk=0, address=address
            )
        flits.append(formats.flit.pack(kind=int(kind), x0=x0, y0=y0, x1=x1, y1=y1, payload=payload))
    return np.array(flits + going_on, np.uint64)


def run_images(mesh, images):
    """Sends images through a configured mesh, and waits until nothing moves."""
    program = mesh.program
    (population,) = program.output_populations
    values = np.zeros((len(images), *population.shape), np.uint8)
    ends = program.output_ends * program.tokens_per_sample(population)
    mesh.record(-1, values, [population], ends)
    for core in program.cores:
        mesh.send(mesh.host.start(core))
    mesh.prepare_host(images)
    assert mesh.run(samples=len(images), limit=100_000) == 0
    watchdog.settled(mesh)


def native_links(program, images, **options):
    """Links of a whole run: configuration over the mesh, all images, until nothing moves."""
    with configured(program, **options) as mesh:
        run_images(mesh, images)
        return mesh.links()
