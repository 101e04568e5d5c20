# SPDX-License-Identifier: Apache-2.0
"""`stemcore train`: one registered model on one data set.

The state is saved after every epoch in ``sim_build/train/<model>-<dataset>``, and the same command
goes on from there. The weights are written to ``checkpoints/<model>-<dataset>.safetensors`` at the
end, where they are looked for first, or to ``out``. ``start`` names a weight file, of this or
another model, whose tensors are taken over where name and shape agree; ``-from-<its name>`` is
added to the folder of the state then, ``-under-<table>`` where an activation table is trained
under, and ``-taught-by-<name>`` with a teacher, since these are other runs. A run is interrupted on
one device and goes on on another.
"""

import dataclasses
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from stemcore.files import check_room
from stemcore.folders import results

from .arrays import Shape
from .checkpoint import load_matching, own_checkpoint_path, round_for_file, save_checkpoint
from .data import AnyDataset, check_folder, has_labels, load_dataset, resolve_dataset
from .data.files import shown
from .data.identity import path_name
from .errors import DataError, ModelError
from .recipes import Recipe, get_recipe
from .registry import get_model
from .resume import STATE_FILE, resume_state, save_state
from .simulated_tables import TrainingTable
from .tasks import Classification, Detection, Task, task_of
from .teacher import Teacher
from .trainer import TrainingState, new_state, train_epoch

STATE_COPIES = 3  # of the weights in a state: they, their momenta and running averages
LARGEST_SEED = 2**32 - 1
CPU = "cpu"


class Progress:
    """A bar on a terminal, one plain line per epoch elsewhere."""

    def __init__(self, epoch: int, n_epochs: int, metric: str) -> None:
        self.label = f"epoch {epoch}/{n_epochs}"
        self.metric = metric
        self.bar: tqdm[int] | None = None

    def step(self, step: int, n_steps: int, loss: float) -> None:
        """Shows that ``step`` of ``n_steps`` batches are done; a terminal alone sees it."""
        if not sys.stderr.isatty():
            return
        if self.bar is None:
            self.bar = tqdm(total=n_steps, desc=self.label, unit="step", leave=False)
        self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        self.bar.update(step - self.bar.n)

    def finish(self, entry: Mapping[str, float]) -> None:
        """Ends the bar and prints the epoch's line of the log."""
        if self.bar is not None:
            self.bar.close()
        print(
            f"{self.label}: loss {entry['loss']:.4f}, test {self.metric} "
            f"{100 * entry['test_accuracy']:.2f} %, {entry['seconds']:.0f} s",
            flush=True,
        )


def train(
    model: str,
    dataset: str,
    *,
    recipe: Recipe,
    seed: int = 0,
    folder: Path | str | None = None,
    state_folder: Path | str | None = None,
    data_name: str | None = None,
    stop_after: int | None = None,
    start: Path | str | None = None,
    spike_penalty: float = 0.0,
    table: TrainingTable | None = None,
    teacher: Path | str | None = None,
    device: str = CPU,
    out: Path | str | None = None,
) -> tuple[TrainingState, AnyDataset]:
    """Train, or go on training, a registered model. Returns ``(state, Dataset)``, on the processor.

    recipe : Recipe
    folder : path or None
        Of the data set, see :func:`stemcore.models.data.find_data`.
    state_folder : path or None
        Where the run is saved; by default under ``sim_build/train``.
    data_name : str or None
        Of the data set, for files; None: ``dataset``. Of a set of the user's own the one that no
        other path has, see :mod:`stemcore.models.data.identity`.
    stop_after : int or None
        End early, after this many epochs in all; the learning rate still follows the whole recipe.
    start : path or None
        Weight file to begin with, see :func:`stemcore.models.checkpoint.load_matching`.
    spike_penalty, table
        See :func:`stemcore.models.trainer.train_epoch`.
    teacher : path or None
        Weight file whose network's answers are learned, see :mod:`stemcore.models.teacher`.
    device : str
        What torch calls the place that computes: ``cpu``, ``cuda``, ``cuda:1``.
    out : path or None
        Where the weights will go, if anywhere: whether they can is known before the first epoch.
    """
    _check(seed, spike_penalty)
    place = _find_device(device)
    spec = get_model(model)
    if state_folder is None:
        origin = f"-from-{Path(start).stem}" if start is not None else ""
        under = f"-under-{table.name}" if table is not None else ""
        taught = f"-taught-by-{Path(teacher).stem}" if teacher is not None else ""
        name = f"{model}-{data_name or dataset}{origin}{under}{taught}"
        state_folder = results() / "train" / name
    state_folder = Path(state_folder)
    spec.check_task(dataset)
    spec.check_trains()
    for option, is_used in (("spike_penalty", spike_penalty != 0), ("table", table is not None)):
        if is_used and spec.relu_model:
            raise ModelError(
                f"{model}: {option} expects the bits of activations; LIF neurons "
                f"came, which have none; train {spec.relu_model} with it, or leave it out"
            )
    data = load_dataset(dataset, spec.input_shape, folder)
    task = task_of(data)
    if recipe.mixup and isinstance(task, Detection):
        raise ModelError(
            f"mixup: is for classes of images and of pixels; boxes of {data.name} came, which do "
            "not mix; leave it out"
        )
    if data.train_images.dtype != np.uint8:
        raise DataError(
            f"{dataset}: training needs bytes of pictures, which it shifts and mirrors; "
            f"{data.train_images.dtype} came; train with a program of your own"
        )
    if not len(data.train_images) or not len(data.test_images):
        raise DataError(
            f"{dataset}: training needs training and test images; "
            f"{len(data.train_images)} and {len(data.test_images)} came; name a "
            "folder that holds both"
        )
    settings = {
        "model": model,
        "dataset": data_name or dataset,
        "seed": seed,
        "n_train": len(data.train_images),
        "recipe": dataclasses.asdict(recipe),
    }
    state = new_state(lambda: spec.build(n_classes=data.n_classes), seed, data.train_images)
    n_bytes = 4 * sum(tensor.numel() for tensor in state.module.state_dict().values())
    check_room(state_folder / STATE_FILE, STATE_COPIES * n_bytes)
    if out is not None:
        check_room(out, n_bytes)
    if start is not None:
        settings["start"] = Path(start).name
        fresh = load_matching(state.module, start)
        print(f"{model}: beginning with {Path(start).name}; new: {', '.join(fresh)}", flush=True)
    if spike_penalty:
        settings["spike_penalty"] = spike_penalty
    if table is not None:
        settings["table"] = dataclasses.asdict(table)
    network = None
    if teacher is not None:
        network = _load_teacher(teacher, task, data, spec.input_shape)
        network.module.to(place)
        settings["teacher"] = Path(teacher).name
    if resume_state(state_folder, state, settings):
        print(f"{model}: going on after epoch {state.epoch} of {recipe.epochs}", flush=True)
    state.move(place)
    while state.epoch < min(recipe.epochs, stop_after or recipe.epochs):
        started = time.monotonic()
        progress = Progress(state.epoch + 1, recipe.epochs, task.metric)
        loss = train_epoch(state, data, recipe, seed, progress.step, spike_penalty, table, network)
        accuracy = task.measure(state.module, data, recipe.half_precision)
        state.log.append(
            {"loss": loss, "test_accuracy": accuracy, "seconds": time.monotonic() - started}
        )
        save_state(state_folder, state, settings)
        progress.finish(state.log[-1])
    state.move(torch.device(CPU))
    return state, data


def _find_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # of device meta there is no value
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        found = [CPU, *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ModelError(
            f"device: must be a place where torch computes here ({', '.join(found)}); {name!r} "
            f"came, of which torch says {str(error).splitlines()[0]}; choose one of these, or "
            "install a torch that was built for it"
        ) from error
    return device


def _load_teacher(
    path: Path | str, task: Task[Any, Any], data: AnyDataset, input_shape: Shape
) -> Teacher:
    if not isinstance(task, Classification):
        raise ModelError(
            f"teacher: is for networks that name a class for each image; {data.name} came, whose "
            f"figure is {task.metric}; leave it out"
        )
    return Teacher(path, input_shape, data.name, data.class_names)


def _check(seed: int, spike_penalty: float) -> None:
    if not 0 <= seed <= LARGEST_SEED:
        raise ModelError(f"seed: must lie in 0..{LARGEST_SEED}, got {seed}")
    if not 0 <= spike_penalty < math.inf:
        raise ModelError(
            f"spike-penalty: must be a finite number of 0 or more, got {spike_penalty}"
        )


def publish(
    path: Path | str,
    model: str,
    data: AnyDataset,
    state: TrainingState,
    recipe: Recipe,
    seed: int,
    start: Path | str | None = None,
    data_name: str | None = None,
    spike_penalty: float = 0.0,
    table: TrainingTable | None = None,
    teacher: Path | str | None = None,
) -> float:
    """Write the weight file and return accuracy or mAP of the rounded weights, in 0..1."""
    module = get_model(model).build(n_classes=data.n_classes)
    module.load_state_dict(round_for_file(state.module.state_dict()), strict=False)
    accuracy = task_of(data).measure(module, data)
    save_checkpoint(
        path,
        state.module.state_dict(),
        {
            "model": model,
            "dataset": data_name or data.name,
            "provenance": data.provenance,
            "start": Path(start).name if start else None,
            "epochs": state.epoch,
            "seed": seed,
            "spike_penalty": spike_penalty,
            "table": table.name if table else None,
            "teacher": Path(teacher).name if teacher else None,
            "recipe": dataclasses.asdict(recipe),
            "parameters": sum(p.numel() for p in module.parameters()),
            "class_names": data.class_names,
            "metric": task_of(data).metric,
            "test_accuracy": accuracy,
            "test_images": len(data.test_images),
        },
    )
    return accuracy


def train_and_publish(
    model: str,
    dataset: str | None = None,
    *,
    data: Path | str | None = None,
    epochs: int | None = None,
    rate: float | None = None,
    seed: int = 0,
    spike_penalty: float = 0.0,
    table: TrainingTable | None = None,
    threads: int | None = None,
    start: Path | str | None = None,
    teacher: Path | str | None = None,
    mixup: float | None = None,
    device: str = CPU,
    out: Path | str | None = None,
) -> Path | str:
    """What `stemcore train` does; the parameters are its options. Returns the weight file's path.

    epochs : int or None
        One cycle of that many; None follows the recipe of the pair.
    rate : float or None
        Highest learning rate of every cycle, such as a tenth of the recipe's for trained weights to
        start with; None follows the recipe.
    mixup : float or None
        See :class:`stemcore.models.recipes.Recipe`; None follows the recipe.
    """
    if rate is not None and not 0 < rate < math.inf:
        raise ModelError(f"rate: must be a finite number above 0, got {rate}")
    if mixup is not None and not 0 <= mixup < math.inf:
        raise ModelError(f"mixup: must be a finite number of 0 or more, got {mixup}")
    if threads:
        torch.set_num_threads(threads)
    text = dataset or get_model(model).default_dataset
    dataset, folder = resolve_dataset(text, data)
    check_folder(text, data)
    # Weights trained on one folder must never be taken for those of another.
    data_name = dataset if dataset == text or folder is None else path_name(folder)
    if not has_labels(dataset, folder):
        raise DataError(
            f"{shown(text)}: training needs labels; there are none; name a data set that has them"
        )
    recipe = get_recipe(model, dataset)
    if epochs:
        recipe = dataclasses.replace(recipe, epochs=epochs, restart_at=None)
    if rate is not None:
        recipe = dataclasses.replace(recipe, peak_rate=rate, restart_rate=rate)
    if mixup is not None:
        recipe = dataclasses.replace(recipe, mixup=mixup)
    path = out or own_checkpoint_path(model, data_name)
    state, loaded = train(
        model,
        dataset,
        recipe=recipe,
        seed=seed,
        folder=folder,
        data_name=data_name,
        start=start,
        spike_penalty=spike_penalty,
        table=table,
        teacher=teacher,
        device=device,
        out=path,
    )
    figure = publish(
        path, model, loaded, state, recipe, seed, start, data_name, spike_penalty, table, teacher
    )
    print(f"wrote {path}: {model} on {loaded.provenance}")
    print(
        f"float test {task_of(loaded).metric} {100 * figure:.2f} % on "
        f"{len(loaded.test_images)} images"
    )
    return path
