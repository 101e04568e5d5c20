# SPDX-License-Identifier: Apache-2.0
"""How fast the models in Python are: golden against torch, and the program engine."""

from collections.abc import Iterator

import torch

from stemcore.golden.network.forward import Forward
from stemcore.golden.reference.program_engine import Mesh
from stemcore.models.data.preprocess import to_float_input
from stemcore.runtime.prepare import prepare
from stemcore.runtime.prepared import compile_program
from stemcore.runtime.settings import Settings

from .measure import Figure, best_seconds

BATCH = 64


def golden_against_torch(model: str = "tiny_vgg") -> Iterator[Figure]:
    """The lowered network in golden, and the float network it came from, on the same images."""
    prepared = prepare(Settings(model=model))
    images = prepared.integers[:BATCH]
    forward = Forward(prepared.network, acc_width=prepared.params.acc_width)
    output = {prepared.network.output.name}
    seconds = best_seconds(lambda: forward.run(images, keep=output))
    note = f"{model}, batch {BATCH}"
    yield Figure("golden", BATCH / seconds, "images/s", f"{note}, output kept", 1)
    everything = best_seconds(lambda: forward.run(images))
    yield Figure("golden, all layers kept", BATCH / everything, "images/s", note, 1)
    batch = to_float_input(prepared.dataset.test_images[:BATCH])
    module = prepared.module.eval()
    with torch.no_grad():
        in_torch = best_seconds(lambda: module(batch))
    threads = torch.get_num_threads()
    yield Figure("torch float32", BATCH / in_torch, "images/s", f"{note}, {threads} threads", 1)
    yield Figure("golden, of torch's speed", 100 * in_torch / seconds, "%", digits=1)


def program_engine(model: str = "digits_cnn", n_images: int = 64) -> Iterator[Figure]:
    """The memory images, executed core by core in numpy."""
    prepared = prepare(Settings(model=model))
    program = compile_program(prepared)
    images = prepared.integers[:n_images]
    mesh = Mesh(program)
    seconds = best_seconds(lambda: mesh.run(images))
    note = f"{model}, {len(program.cores)} cores, {n_images} images"
    yield Figure("program engine", n_images / seconds, "images/s", note, 1)
    loading = best_seconds(lambda: Mesh(program))
    yield Figure("program engine: reading the memories", loading, "s", note, 2)
