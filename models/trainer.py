# SPDX-License-Identifier: Apache-2.0
"""The training loop: one epoch at a time, each a pure function of the state before it."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from .arrays import Bytes
from .data import AnyDataset
from .data.preprocess import to_float_input
from .errors import ModelError
from .recipes import Recipe
from .simulated_tables import IMAGES, SimulatedTable, TrainingTable
from .spikes import SpikeMeter
from .tasks import device_of, task_of
from .teacher import Teacher, distillation_loss

# Keeps the random streams of neighbouring epochs and seeds apart.
_SEED_STRIDE = 1_000_003
# Look-ahead: steps between two, and what the averages keep of themselves late in the run.
LOOK_EVERY = 5
KEPT = 0.95**LOOK_EVERY


@dataclass
class TrainingState:
    """What an interrupted run needs to go on: the module, the momenta, and the epochs behind it.

    averages : running averages of the state dict's float tensors by name; empty without look-ahead
    log : list of dict, one per finished epoch: loss, test_accuracy, seconds.
    """

    module: nn.Module
    momenta: dict[str, torch.Tensor]
    epoch: int = 0
    log: list[dict[str, float]] = field(default_factory=list)
    averages: dict[str, torch.Tensor] = field(default_factory=dict)

    def move(self, device: torch.device) -> None:
        """Puts every tensor on ``device``, where the run then goes on."""
        self.module.to(device)
        self.momenta = {name: tensor.to(device) for name, tensor in self.momenta.items()}
        self.averages = {name: tensor.to(device) for name, tensor in self.averages.items()}


def new_state(
    build: Callable[[], nn.Module], seed: int, images: Bytes | None = None
) -> TrainingState:
    """A freshly initialised module; the same seed gives the same weights.

    images : uint8 (N, C, H, W) or None
        For modules that take their first weights from training images (``initialise_from``).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build()
    initialise = getattr(module, "initialise_from", None)
    if images is not None and initialise is not None:
        initialise(images)
    momenta = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
    return TrainingState(module, momenta)


def rate_at(recipe: Recipe, progress: float) -> float:
    """Learning rate at ``progress`` in 0..1 of the run: linear up, then half a cosine to zero.

    Twice, where the recipe has a restart.
    """
    peak = recipe.peak_rate
    if recipe.restart_at is not None:
        epoch = progress * recipe.epochs
        if epoch < recipe.restart_at:
            progress = epoch / recipe.restart_at
        else:
            progress = (epoch - recipe.restart_at) / (recipe.epochs - recipe.restart_at)
            peak = recipe.restart_rate
    if progress < recipe.warmup:
        return peak * progress / recipe.warmup
    fall = (progress - recipe.warmup) / (1 - recipe.warmup)
    if recipe.triangle_to is not None:
        return peak * (1 - fall * (1 - recipe.triangle_to))
    return peak * (1 + math.cos(math.pi * fall)) / 2


def train_epoch(
    state: TrainingState,
    dataset: AnyDataset,
    recipe: Recipe,
    seed: int,
    on_step: Callable[[int, int, float], None] | None = None,
    spike_penalty: float = 0.0,
    table: TrainingTable | None = None,
    teacher: Teacher | None = None,
) -> float:
    """Train ``state`` in place for one epoch, on the device that it is on. Returns the mean loss.

    The order of the images and their augmentation follow from ``seed`` and ``state.epoch`` alone,
    so a resumed run repeats an uninterrupted one. ``on_step(step, n_steps, loss)`` reports
    progress. Images beyond the last whole batch are left for another epoch's order.

    spike_penalty : what an expected synaptic operation per multiply-accumulate adds to the loss,
        see :mod:`stemcore.models.spikes`.
    table : activation table to learn under, see :mod:`stemcore.models.simulated_tables`. Its scales
        are chosen anew in every epoch.
    teacher : network whose answers to the same augmented images take the place of the labels, on
        the same device.
    """
    with ExitStack() as contexts:
        if table is not None:
            images = to_float_input(dataset.train_images[:IMAGES]).to(device_of(state.module))
            contexts.enter_context(SimulatedTable(state.module, table, images))
        meter = contexts.enter_context(SpikeMeter(state.module)) if spike_penalty else None
        return _train_epoch(state, dataset, recipe, seed, on_step, spike_penalty, meter, teacher)


def _train_epoch(
    state: TrainingState,
    dataset: AnyDataset,
    recipe: Recipe,
    seed: int,
    on_step: Callable[[int, int, float], None] | None,
    spike_penalty: float,
    meter: SpikeMeter | None,
    teacher: Teacher | None,
) -> float:
    module = state.module.train()
    device = device_of(module)
    if recipe.half_precision:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(seed * _SEED_STRIDE + state.epoch)
    task = task_of(dataset)
    n_images = len(dataset.train_images)
    order = torch.randperm(n_images, generator=generator)
    n_steps = max(n_images // recipe.batch, 1)
    mirrored = _mirrored(n_images, seed, state.epoch) if recipe.alternate_flip else None
    shares = _shares(recipe, seed, state.epoch, n_steps)
    optimizer = _build_optimizer(state, recipe)
    total = 0.0
    for step in range(n_steps):
        picked = order[step * recipe.batch : (step + 1) * recipe.batch]
        images, targets = task.draw(dataset, picked, recipe, generator, mirrored)
        batch, targets = to_float_input(images).to(device), task.move(targets, device)
        share = shares[step]
        if recipe.mixup:
            partners = torch.randperm(len(batch), generator=generator).to(device)
            batch = batch.lerp(batch[partners], 1 - share)
        if recipe.half_precision:
            batch = batch.contiguous(memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            rate = rate_at(recipe, (state.epoch + (step + 1) / n_steps) / recipe.epochs)
            group["lr"] = rate * group["multiple"]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.half_precision):
            outputs = module(batch).float()
        if teacher is not None:
            answers = teacher.answer(batch, recipe.half_precision)
            loss = distillation_loss(outputs, answers, recipe.temperature)
        else:
            loss = share * task.loss(outputs, targets, recipe)
            if recipe.mixup:
                loss = loss + (1 - share) * task.loss(outputs, targets[partners], recipe)
        if meter is not None:
            loss = loss + spike_penalty * meter.take()
        if not math.isfinite(loss.item()):
            raise ModelError(
                f"training: the loss must be finite; {loss.item()} came in step {step + 1} of "
                f"epoch {state.epoch + 1}, of which nothing is kept; train with a lower rate or "
                "penalty, or look for odd images"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.largest_gradient is not None:
            nn.utils.clip_grad_norm_(module.parameters(), recipe.largest_gradient)
        optimizer.step()
        done = state.epoch * n_steps + step + 1
        if recipe.look_ahead and (done % LOOK_EVERY == 0 or done == recipe.epochs * n_steps):
            _look_ahead(state, done / (recipe.epochs * n_steps))
        total += loss.item()
        if on_step is not None:
            on_step(step + 1, n_steps, loss.item())
    state.epoch += 1
    return total / n_steps


def _mirrored(n_images: int, seed: int, epoch: int) -> torch.Tensor:
    """Bool tensor (n_images,): a random half in even epochs, the other half in odd ones."""
    generator = torch.Generator().manual_seed(seed * _SEED_STRIDE - 1)
    first = torch.randint(2, (n_images,), generator=generator).bool()
    return first ^ bool(epoch % 2)


def _shares(recipe: Recipe, seed: int, epoch: int, n_steps: int) -> list[float]:
    """What the images of each batch keep of themselves, in 0..1; without mixup, all."""
    if not recipe.mixup:
        return [1.0] * n_steps
    generator = np.random.default_rng((seed, epoch))
    return [float(share) for share in generator.beta(recipe.mixup, recipe.mixup, n_steps)]


@torch.no_grad()
def _look_ahead(state: TrainingState, progress: float) -> None:
    """Moves the running averages towards the weights, and the weights to the averages.

    The averages keep ``KEPT * progress ** 3`` of themselves; at the end of the run, all of it.
    """
    kept = 1.0 if progress >= 1 else KEPT * progress**3
    for name, tensor in state.module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        if name not in state.averages:
            state.averages[name] = tensor.clone()
        average = state.averages[name]
        average.lerp_(tensor, 1 - kept)
        tensor.copy_(average)


def _build_optimizer(state: TrainingState, recipe: Recipe) -> torch.optim.SGD:
    """SGD whose momentum buffers are the tensors in ``state.momenta``.

    Parameters that want no gradient are left out.
    """
    parameters = {n: p for n, p in state.module.named_parameters() if p.requires_grad}
    norm_biases = {
        f"{name}.bias"
        for name, module in state.module.named_modules()
        if isinstance(module, nn.BatchNorm2d) and recipe.norm_bias_rate != 1
    }
    groups = []
    for chosen, multiple in ((True, recipe.norm_bias_rate), (False, 1.0)):
        group = {n: p for n, p in parameters.items() if (n in norm_biases) is chosen}
        decayed = [p for p in group.values() if p.ndim > 1 or recipe.decays_vectors]
        plain = [p for p in group.values() if p.ndim <= 1 and not recipe.decays_vectors]
        decay = recipe.weight_decay / multiple
        groups += [
            {"params": decayed, "weight_decay": decay, "multiple": multiple},
            {"params": plain, "weight_decay": 0.0, "multiple": multiple},
        ]
    optimizer = torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=0.0,
        momentum=recipe.momentum,
        nesterov=True,
    )
    for name, parameter in parameters.items():
        optimizer.state[parameter]["momentum_buffer"] = state.momenta[name]
    return optimizer
