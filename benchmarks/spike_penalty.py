# SPDX-License-Identifier: Apache-2.0
"""Training with a penalty on spikes: accuracy and operations of the quantized network.

``python -m stemcore.benchmarks.spike_penalty [--model digits_cnn] [--dataset digits] [--penalty 0.1
..] [--table rd20 ..] [--start FILE --rate 0.03]``

Every network is measured with each of the named activation tables on all test images: a curve of
accuracy over SOPs for each penalty. The tables are the same for all, so that nothing is chosen by
test images. With ``--start`` the first curve is that of the weights to begin with.
"""

import argparse
import dataclasses
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stemcore.compiler.sparsity.tables import NONE
from stemcore.folders import results
from stemcore.models.checkpoint import load_matching, save_checkpoint
from stemcore.models.data import load_dataset
from stemcore.models.recipes import get_recipe
from stemcore.models.registry import get_model
from stemcore.models.trainer import new_state, train_epoch
from stemcore.runtime.prepare import prepare
from stemcore.runtime.report.accuracy import measure
from stemcore.runtime.report.figures import write_json
from stemcore.runtime.settings import Settings
from stemcore.runtime.sparsify.operation_counts import measure_choice

PENALTIES = (0.0, 0.05, 0.1, 0.2)


def train_with(options: argparse.Namespace, penalty: float, path: Path) -> None:
    """Trains from random weights, or those of ``start``, and writes the weight file."""
    model, dataset = options.model, options.dataset
    spec, recipe = get_model(model), get_recipe(model, dataset)
    if options.epochs:
        recipe = dataclasses.replace(recipe, epochs=options.epochs, restart_at=None)
    if options.rate:
        recipe = dataclasses.replace(recipe, peak_rate=options.rate, restart_rate=options.rate)
    loaded = load_dataset(dataset, spec.input_shape, options.data, n_test=1)
    state = new_state(spec.build, 0)
    if options.start:
        load_matching(state.module, options.start)
    for _ in range(recipe.epochs):
        train_epoch(state, loaded, recipe, 0, spike_penalty=penalty)
    save_checkpoint(path, state.module.state_dict(), {"model": model, "dataset": dataset})


def measured(
    options: argparse.Namespace, path: Path, about: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """A row for each table: accuracy and its standard error in 0..1, SOPs and spikes per image."""
    settings = Settings(options.model, options.dataset, options.data, checkpoint=path)
    prepared = prepare(settings)
    n_images = len(prepared.integers)
    for table in options.table or [NONE]:
        hidden = [x.name for x in prepared.quantized.network.layers]
        outputs = prepared.quantized.network.output_layers
        choice = {name: table for name in hidden if name not in outputs and table != NONE}
        seen = measure_choice(prepared.compilation, choice, prepared.integers)
        accuracy = measure(prepared.dataset, seen.outputs)
        row = {
            **about,
            "table": table,
            "accuracy": accuracy,
            "error": math.sqrt(accuracy * (1 - accuracy) / n_images),
            "sops": seen.sops,
            "spikes": seen.spikes,
            "images": n_images,
        }
        print(
            f"penalty {about['penalty']!s:<5} table {table:<6} accuracy {100 * accuracy:.2f} +- "
            f"{100 * row['error']:.2f} % of {n_images}  SOPs {seen.sops:,.0f}  "
            f"spikes {seen.spikes:,.0f}",
            flush=True,
        )
        yield row


def main(words: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="stemcore.benchmarks.spike_penalty", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--model", default="digits_cnn")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--rate", type=float, help="highest learning rate; default: the recipe's")
    parser.add_argument("--start", type=Path, help="weight file to begin with; default: random")
    parser.add_argument("--penalty", type=float, action="append")
    parser.add_argument("--table", action="append", help="rd20, say; default: none")
    options = parser.parse_args(words)
    rows: list[dict[str, Any]] = []
    if options.start:
        rows += measured(options, options.start, {"penalty": None})
    for penalty in options.penalty or PENALTIES:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "weights.safetensors"
            train_with(options, penalty, path)
            rows += measured(options, path, {"penalty": penalty})
    write_json(
        results() / "spike_penalty.json",
        {"model": options.model, "dataset": options.dataset, "rows": rows},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
