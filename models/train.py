# SPDX-License-Identifier: Apache-2.0
"""Command line: train one registered model on one data set.

``python -m stemcore.models.train --model tiny_vgg --dataset cifar10 [--epochs N] [--data FOLDER]
[--seed 0] [--threads N] [--start PATH] [--out PATH]``

The state is saved after every epoch in ``sim_build/train/<model>-<dataset>``, and the same command
goes on from there. The weights are written to ``models/checkpoints/<model>-<dataset>.safetensors``
at the end, or to ``--out``. ``--start`` names a weight file, of this or another model, whose
tensors are taken over where name and shape agree.
"""

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import torch
from tqdm import tqdm

from .checkpoint import checkpoint_path, load_matching, round_for_file, save_checkpoint
from .data import load_dataset, resolve_dataset
from .errors import CheckpointError, DataError, ModelError
from .recipes import get_recipe
from .registry import get_model
from .resume import resume_state, save_state
from .tasks import task_of
from .trainer import new_state, train_epoch

BUILD_FOLDER = Path(__file__).resolve().parents[1] / "sim_build" / "train"


class Progress:
    """A bar on a terminal, one plain line per epoch elsewhere."""

    def __init__(self, epoch, n_epochs, metric):
        self.label = f"epoch {epoch}/{n_epochs}"
        self.metric = metric
        self.bar = None

    def step(self, step, n_steps, loss):
        if not sys.stderr.isatty():
            return
        if self.bar is None:
            self.bar = tqdm(total=n_steps, desc=self.label, unit="step", leave=False)
        self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        self.bar.update(step - self.bar.n)

    def finish(self, entry):
        if self.bar is not None:
            self.bar.close()
        print(
            f"{self.label}: loss {entry['loss']:.4f}, test {self.metric} "
            f"{100 * entry['test_accuracy']:.2f} %, {entry['seconds']:.0f} s",
            flush=True,
        )


def train(
    model,
    dataset,
    *,
    recipe,
    seed=0,
    folder=None,
    state_folder=None,
    stop_after=None,
    start=None,
    spike_penalty=0.0,
):
    """Train, or go on training, a registered model. Returns ``(state, Dataset)``.

    recipe : Recipe
    folder : path or None
        Of the data set, see :func:`stemcore.models.data.find_data`.
    state_folder : path or None
        Where the run is saved; by default under ``sim_build/train``.
    stop_after : int or None
        End early, after this many epochs in all; the learning rate still follows the whole recipe.
    start : path or None
        Weight file to begin with, see :func:`stemcore.models.checkpoint.load_matching`.
    spike_penalty : float
        See :func:`stemcore.models.trainer.train_epoch`.
    """
    spec = get_model(model)
    state_folder = Path(state_folder or BUILD_FOLDER / f"{model}-{dataset}")
    spec.check_task(dataset)
    if spike_penalty and spec.relu_form:
        raise ModelError(
            f"{model}: spike_penalty expects the bits of activations; LIF neurons "
            f"came, which have none; train {spec.relu_form} with it, or leave it out"
        )
    data = load_dataset(dataset, spec.input_shape, folder)
    task = task_of(data)
    if not len(data.train_images) or not len(data.test_images):
        raise DataError(
            f"{dataset}: training needs training and test images; "
            f"{len(data.train_images)} and {len(data.test_images)} came; name a "
            "folder that holds both"
        )
    settings = {
        "model": model,
        "dataset": dataset,
        "seed": seed,
        "n_train": len(data.train_images),
        "recipe": dataclasses.asdict(recipe),
    }
    state = new_state(lambda: spec.build(n_classes=data.n_classes), seed, data.train_images)
    if start is not None:
        settings["start"] = Path(start).name
        fresh = load_matching(state.module, start)
        print(f"{model}: beginning with {Path(start).name}; new: {', '.join(fresh)}", flush=True)
    if spike_penalty:
        settings["spike_penalty"] = spike_penalty
    if resume_state(state_folder, state, settings):
        print(f"{model}: going on after epoch {state.epoch} of {recipe.epochs}", flush=True)
    while state.epoch < min(recipe.epochs, stop_after or recipe.epochs):
        started = time.monotonic()
        progress = Progress(state.epoch + 1, recipe.epochs, task.metric)
        loss = train_epoch(state, data, recipe, seed, progress.step, spike_penalty)
        accuracy = task.measure(state.module, data, recipe.half_precision)
        state.log.append(
            {"loss": loss, "test_accuracy": accuracy, "seconds": time.monotonic() - started}
        )
        save_state(state_folder, state, settings)
        progress.finish(state.log[-1])
    return state, data


def publish(path, model, data, state, recipe, seed, start=None):
    """Write the weight file and return accuracy or mAP of the rounded weights, in 0..1."""
    module = get_model(model).build(n_classes=data.n_classes)
    module.load_state_dict(round_for_file(state.module.state_dict()), strict=False)
    accuracy = task_of(data).measure(module, data)
    save_checkpoint(
        path,
        state.module.state_dict(),
        {
            "model": model,
            "dataset": data.name,
            "provenance": data.provenance,
            "start": Path(start).name if start else None,
            "epochs": state.epoch,
            "seed": seed,
            "recipe": dataclasses.asdict(recipe),
            "parameters": sum(p.numel() for p in module.parameters()),
            "class_names": data.class_names,
            "metric": task_of(data).metric,
            "test_accuracy": accuracy,
            "test_images": len(data.test_images),
        },
    )
    return accuracy


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m stemcore.models.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="registered name, such as tiny_vgg")
    parser.add_argument("--dataset", help="a name or a folder; default: the model's own")
    parser.add_argument("--epochs", type=int, help="one cycle of that many; default: the recipe's")
    parser.add_argument("--data", metavar="FOLDER", help="folder of the data set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--spike-penalty",
        type=float,
        default=0.0,
        metavar="P",
        help="loss for each expected synaptic operation per multiply-accumulate",
    )
    parser.add_argument("--threads", type=int, help="processor threads; default: torch's")
    parser.add_argument("--start", metavar="PATH", type=Path, help="weight file to begin with")
    parser.add_argument("--out", metavar="PATH", type=Path, help="weight file to write")
    parsed = parser.parse_args(arguments)
    for name in ("epochs", "threads"):
        if getattr(parsed, name) is not None and getattr(parsed, name) < 1:
            parser.error(f"--{name}: must be at least 1; {getattr(parsed, name)} came")
    return parsed


def main(arguments=None):
    """Run the command line. Returns the process's exit status."""
    options = parse_arguments(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        dataset, folder = resolve_dataset(
            options.dataset or get_model(options.model).default_dataset, options.data
        )
        recipe = get_recipe(options.model, dataset)
        if options.epochs:
            recipe = dataclasses.replace(recipe, epochs=options.epochs, restart_at=None)
        state, data = train(
            options.model,
            dataset,
            recipe=recipe,
            seed=options.seed,
            folder=folder,
            start=options.start,
            spike_penalty=options.spike_penalty,
        )
        path = options.out or checkpoint_path(options.model, dataset)
        figure = publish(path, options.model, data, state, recipe, options.seed, options.start)
    except (CheckpointError, DataError, ModelError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on after the last finished epoch", file=sys.stderr)
        return 130
    print(f"wrote {path}: {options.model} on {data.provenance}")
    print(
        f"float test {task_of(data).metric} {100 * figure:.2f} % on {len(data.test_images)} images"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
