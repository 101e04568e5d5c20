# SPDX-License-Identifier: Apache-2.0
"""The training loop: one epoch at a time, each a pure function of the state before it."""

import math
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import nn

from .data.preprocess import to_float_input
from .spikes import SpikeMeter
from .tasks import task_of

# Keeps the random streams of neighbouring epochs and seeds apart.
_SEED_STRIDE = 1_000_003


@dataclass
class TrainingState:
    """What an interrupted run needs to go on: the module, the momenta, and the epochs behind it.

    log : list of dict, one per finished epoch: loss, test_accuracy, seconds.
    """

    module: nn.Module
    momenta: dict
    epoch: int = 0
    log: list = field(default_factory=list)


def new_state(build, seed):
    """A freshly initialised module; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build()
    momenta = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
    return TrainingState(module, momenta)


def rate_at(recipe, progress):
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
    return peak * (1 + math.cos(math.pi * fall)) / 2


def train_epoch(state, dataset, recipe, seed, on_step=None, spike_penalty=0.0):
    """Train ``state`` in place for one epoch. Returns the mean loss.

    The order of the images and their augmentation follow from ``seed`` and ``state.epoch`` alone,
    so a resumed run repeats an uninterrupted one. ``on_step(step, n_steps, loss)`` reports
    progress. Images beyond the last whole batch are left for another epoch's order.

    spike_penalty : what an expected synaptic operation per multiply-accumulate adds to the loss,
        see :mod:`stemcore.models.spikes`.
    """
    with SpikeMeter(state.module) if spike_penalty else nullcontext() as meter:
        return _train_epoch(state, dataset, recipe, seed, on_step, spike_penalty, meter)


def _train_epoch(state, dataset, recipe, seed, on_step, spike_penalty, meter):
    module = state.module.train()
    if recipe.half_precision:
        module.to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(seed * _SEED_STRIDE + state.epoch)
    task = task_of(dataset)
    n_images = len(dataset.train_images)
    order = torch.randperm(n_images, generator=generator)
    n_steps = max(n_images // recipe.batch, 1)
    optimizer = _build_optimizer(state, recipe)
    total = 0.0
    for step in range(n_steps):
        picked = order[step * recipe.batch : (step + 1) * recipe.batch]
        images, targets = task.draw(dataset, picked, recipe, generator)
        batch = to_float_input(images)
        if recipe.half_precision:
            batch = batch.contiguous(memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(recipe, (state.epoch + (step + 1) / n_steps) / recipe.epochs)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.half_precision):
            outputs = module(batch)
        loss = task.loss(outputs.float(), targets, recipe)
        if meter is not None:
            loss = loss + spike_penalty * meter.take()
        loss.backward()
        if recipe.largest_gradient is not None:
            nn.utils.clip_grad_norm_(module.parameters(), recipe.largest_gradient)
        optimizer.step()
        total += loss.item()
        if on_step is not None:
            on_step(step + 1, n_steps, loss.item())
    state.epoch += 1
    return total / n_steps


def _build_optimizer(state, recipe):
    """SGD whose momentum buffers are the tensors in ``state.momenta``."""
    parameters = dict(state.module.named_parameters())
    decayed = [p for p in parameters.values() if p.ndim > 1]
    plain = [p for p in parameters.values() if p.ndim <= 1]
    optimizer = torch.optim.SGD(
        [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ],
        lr=0.0,
        momentum=recipe.momentum,
        nesterov=True,
    )
    for name, parameter in parameters.items():
        optimizer.state[parameter]["momentum_buffer"] = state.momenta[name]
    return optimizer
