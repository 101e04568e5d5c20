# SPDX-License-Identifier: Apache-2.0
"""What activation tables for groups of channels would save over one table a layer.

``python -m stemcore.benchmarks.table_groups [--model tiny_vgg] [--dataset digits] [--images 200]``

A core has one table. Tables for groups of channels would need cores whose channels are all of one
group, channels in another order, or more tables a core. Before any of that is built, this says what
it could gain: each activation's squared error is weighed with the Fisher information of the outputs
(the mean of squared gradients of a drawn class's log likelihood), which is the Kullback-Leibler
divergence to second order where errors are independent. For every grouping the rate-distortion
tables with the least divergence for their SOPs are taken, so that all are compared at equal loss.

``layer``: one table a layer. ``in order 32``: 32 consecutive channels share one, as lanes of a
memory word would. ``sorted 8``: eight groups of channels of like sensitivity, which takes channels
in another order. ``channel``: a table for every channel, more than any grouping can reach.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stemcore.folders import results
from stemcore.golden.arithmetic.activation_tables import identity, rate_distortion
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.forward import fan_out
from stemcore.models.data.preprocess import to_float_input
from stemcore.runtime.prepare import prepare
from stemcore.runtime.prepared import Prepared
from stemcore.runtime.report.figures import write_json
from stemcore.runtime.settings import Settings

BITS = 8
LAMBDAS = (2, 5, 10, 20, 40, 80, 160, 320, 640)
GROUPINGS = ("layer", "in order 32", "sorted 2", "sorted 8", "channel")
SHARES = (0.6, 0.5, 0.4, 0.3)  # of the SOPs, that one table a layer leaves
BATCH = 50
LEAST_GROUP = 32  # channels of a sorted group, as many as lanes of a word

Arrays = NDArray[np.float64]
Weights = dict[str, tuple[Arrays, Arrays]]  # by layer: SOPs and Fisher weights (channels, 2**BITS)


def groups_of(grouping: str, sops: Arrays, fisher: Arrays) -> list[NDArray[np.int64]]:
    """Channels of every group; both arrays are (channels, 2**BITS), by the activation's value."""
    channels = np.arange(len(sops))
    kind, _, number = grouping.rpartition(" ")
    if grouping == "layer":
        return [channels]
    if grouping == "channel":
        return list(channels[:, None])
    if kind == "in order":
        return list(np.split(channels, channels[int(number) :: int(number)]))
    spikes = sops @ count_spikes(identity(BITS), BITS)
    order = np.argsort(fisher.sum(axis=1) / np.maximum(spikes, 1e-12), kind="stable")
    size = max(LEAST_GROUP, -(-len(order) // int(number)))
    return list(np.split(order, np.arange(size, len(order), size)))


def curve_of(weights: Weights, grouping: str) -> tuple[Arrays, Arrays]:
    """Rising divergences, and the share of the SOPs left at each."""
    tables = [identity(BITS), *(rate_distortion(BITS, w) for w in map(float, LAMBDAS))]
    ones = np.array([count_spikes(table, BITS) for table in tables], float)
    errors = np.array([(table - tables[0]) ** 2 for table in tables], float)
    costs, losses = [], []  # (groups, tables)
    for sops, fisher in weights.values():
        for group in groups_of(grouping, sops, fisher):
            costs.append(ones @ sops[group].sum(axis=0))
            losses.append(errors @ fisher[group].sum(axis=0))
    cost, loss = np.array(costs), np.array(losses)
    curve = []
    usual = loss[:, -1].sum() / cost[:, 0].sum()  # divergence for a synaptic operation
    for price in usual * np.logspace(-6, 4, 400):
        best = np.argmin(loss + price * cost, axis=1)[:, None]
        curve.append([np.take_along_axis(x, best, 1).sum() for x in (loss, cost)])
    at = np.array(curve)
    return at[:, 0], at[:, 1] / cost[:, 0].sum()


def shares_left(weights: Weights, grouping: str) -> list[float]:
    """Share of the SOPs left by a grouping at the divergences at which one table a layer leaves
    SHARES."""
    losses, left = curve_of(weights, "layer")
    wanted = np.interp(SHARES, left[::-1], losses[::-1])
    return [float(share) for share in np.interp(wanted, *curve_of(weights, grouping))]


def weights_of(prepared: Prepared, n_images: int, seed: int = 0) -> Weights:
    """Means over the last training images, for a network that is one ``nn.Sequential``."""
    network, layers = prepared.network, prepared.module.get_submodule("layers")
    assert isinstance(layers, nn.Sequential)
    names = [layer.name for layer in network.layers]
    places = [int(name.rpartition(".")[2]) for name in names]
    fan_outs: dict[str, Any] = {}
    for layer in network.layers:
        for c in layer.connections:
            reached = fan_out(c, network.population(c.source))
            fan_outs[c.source] = fan_outs.get(c.source, 0) + reached
    size = 1 << BITS
    weights: Weights = {}
    for name in names[:-1]:
        shape = network.population(name).shape[0], size
        weights[name] = np.zeros(shape), np.zeros(shape)
    generator = torch.Generator().manual_seed(seed)
    images = torch.from_numpy(prepared.dataset.train_images[-n_images:].copy())
    for start in range(0, n_images, BATCH):
        batch = images[start : start + BATCH]
        for name, q, squares in _activations(layers, batch, names, places, prepared, generator):
            sops, fisher = weights[name]
            index = q + size * np.arange(len(sops))[:, None, None]
            for total, of in ((sops, fan_outs[name]), (fisher, squares)):
                spread = np.broadcast_to(of, q.shape).ravel() / n_images
                total += np.bincount(index.ravel(), spread, total.size).reshape(total.shape)
    return weights


def _activations(
    layers: nn.Sequential,
    images: torch.Tensor,
    names: Sequence[str],
    places: Sequence[int],
    prepared: Prepared,
    generator: torch.Generator,
) -> Iterator[tuple[str, NDArray[np.int64], Arrays]]:
    """Of each hidden layer the integers (N, C, H, W), and the weights of their squared errors."""
    x, kept = to_float_input(images), {}
    for place, module in enumerate(layers):
        if place in places[1:]:  # what comes before a layer is what the one before it fires
            name = names[places.index(place) - 1]
            shape = prepared.network.population(name).shape
            kept[name] = x = x.reshape(-1, *shape)
            x.retain_grad()
            x = x.flatten(1) if isinstance(module, nn.Linear) else x
        x = module(x)
    classes = torch.multinomial(x.detach().softmax(1), 1, generator=generator)[:, 0]
    nn.functional.cross_entropy(x, classes, reduction="sum").backward()  # type: ignore[no-untyped-call]
    for name, value in kept.items():
        scale = prepared.network.scales[name]
        q = (value.detach() / scale).round().clamp(0, (1 << BITS) - 1)
        assert value.grad is not None
        yield name, q.long().numpy(), value.grad.double().square().numpy() * scale**2 / 2


def main(words: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="stemcore.benchmarks.table_groups", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--model", default="tiny_vgg", help="one nn.Sequential of ReLU layers")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args(words)
    prepared = prepare(Settings(options.model, options.dataset, options.data))
    prepared.module.eval()
    weights = weights_of(prepared, options.images)
    rows = {grouping: shares_left(weights, grouping) for grouping in GROUPINGS}
    print("SOPs left, %, at equal divergence")
    for grouping, shares in rows.items():
        print(f"{grouping:<12} {'  '.join(f'{100 * share:6.2f}' for share in shares)}")
    write_json(
        results() / "table_groups.json",
        {"model": options.model, "dataset": options.dataset, "images": options.images}
        | {"shares": rows},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
