# SPDX-License-Identifier: Apache-2.0
"""Training with a penalty on spikes: accuracy and operations of the quantized network.

``python -m stemcore.benchmarks.spike_penalty [--model digits_cnn] [--dataset digits] [--penalty 0.1
..]``
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from stemcore.folders import results
from stemcore.models.checkpoint import save_checkpoint
from stemcore.models.data import load_dataset
from stemcore.models.recipes import get_recipe
from stemcore.models.registry import get_model
from stemcore.models.trainer import new_state, train_epoch
from stemcore.runtime.prepare import prepare
from stemcore.runtime.report.accuracy import measure
from stemcore.runtime.report.figures import write_json
from stemcore.runtime.settings import Settings
from stemcore.runtime.sparsify.operation_counts import run_with_counts

PENALTIES = (0.0, 0.05, 0.1, 0.2)


def train_with(
    model: str, dataset: str, penalty: float, epochs: int | None, data: Path | None, path: Path
) -> None:
    """BurstSchedules from random weights and writes the weight file."""
    spec, recipe = get_model(model), get_recipe(model, dataset)
    if epochs:
        recipe = dataclasses.replace(recipe, epochs=epochs, restart_at=None)
    loaded = load_dataset(dataset, spec.input_shape, data, n_test=1)
    state = new_state(spec.build, 0)
    for _ in range(recipe.epochs):
        train_epoch(state, loaded, recipe, 0, spike_penalty=penalty)
    save_checkpoint(path, state.module.state_dict(), {"model": model, "dataset": dataset})


def main(words: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="stemcore.benchmarks.spike_penalty", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--model", default="digits_cnn")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--penalty", type=float, action="append")
    options = parser.parse_args(words)
    rows = []
    for penalty in options.penalty or PENALTIES:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "weights.safetensors"
            train_with(options.model, options.dataset, penalty, options.epochs, options.data, path)
            prepared = prepare(
                Settings(options.model, options.dataset, options.data, checkpoint=path)
            )
        seen = run_with_counts(prepared.network, prepared.integers, prepared.params.acc_width)
        accuracy = measure(prepared.dataset, seen.outputs)
        rows.append(
            {
                "penalty": penalty,
                "accuracy": accuracy,
                "sops": seen.sops,
                "spikes": seen.spikes,
                "images": len(prepared.integers),
            }
        )
        print(
            f"penalty {penalty:<5g} accuracy {100 * accuracy:.2f} %  SOPs {seen.sops:,.0f}  "
            f"spikes {seen.spikes:,.0f}",
            flush=True,
        )
    write_json(
        results() / "spike_penalty.json",
        {"model": options.model, "dataset": options.dataset, "rows": rows},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
