# SPDX-License-Identifier: Apache-2.0
"""Torch modules with several outputs, one for each way of returning them; others of two inputs."""

import random

import torch
from torch import nn


class Heads(nn.Module):
    """Two convolutions; a head on the mean of the second, and one on the first.

    ``form`` arranges (scores, box, first map, second map).
    """

    def __init__(self, form):
        super().__init__()
        self.form = form
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3, stride=2)
        self.scores, self.box = nn.Linear(6, 5), nn.Linear(144, 3)

    def forward(self, x):
        first = self.first(x).relu()
        second = self.second(first).relu()
        box = self.box(first.flatten(1))
        return self.form(self.scores(second.mean((2, 3))), box, first, second)


FORMS = {
    "tuple": lambda scores, box, first, second: (scores, box),
    "list": lambda scores, box, first, second: [box, scores, first],
    "dict": lambda scores, box, first, second: {"scores": scores, "box": box},
    "nested": lambda scores, box, first, second: {"scores": scores, "maps": (second, [first])},
    "with_none": lambda scores, box, first, second: (scores, None, box),
    "twice": lambda scores, box, first, second: (scores, scores, box),
    "tails": lambda scores, box, first, second: (scores.softmax(1), scores, scores.argmax(1)),
    "top": lambda scores, box, first, second: (*scores.topk(2), box.sigmoid()),
    "moved": lambda scores, box, first, second: (second.permute(0, 2, 3, 1), box.flip(1)),
    "one_of_dict": lambda scores, box, first, second: {"only": scores},
    "flat": lambda scores, box, first, second: (first, first.flatten(1), scores),
}


def heads(name, seed=0):
    """The module that returns as ``FORMS[name]``; its input is (1, 8, 8)."""
    torch.manual_seed(seed)
    return Heads(FORMS[name]).eval()


class Branches(nn.Module):
    """Two or three random branches over inputs of their own, joined; one head or two.

    ``input_sizes`` by argument: pictures of different sizes, sequences and vectors.
    """

    def __init__(self, seed):
        super().__init__()
        draw = random.Random(seed)
        kinds = [draw.choice(["picture", "picture", "sequence", "vector"]) for _ in range(2)]
        self.input_sizes = {}
        self.branches = nn.ModuleDict()
        features = 0
        for name, kind in zip(("left", "right"), kinds, strict=True):
            self.input_sizes[name], branch, n = BRANCHES[kind](draw)
            self.branches[name] = branch
            features += n
        self.joined, self.other = nn.Linear(features, 5), nn.Linear(n, 3)
        self.has_two = draw.random() < 0.5

    def forward(self, left, right):
        found = [self.branches["left"](left).flatten(1), self.branches["right"](right).flatten(1)]
        joined = self.joined(torch.cat(found, 1))
        return (joined, self.other(found[1])) if self.has_two else joined


def _picture(draw):
    channels, size, n = draw.randint(1, 3), draw.randint(4, 8), draw.randint(2, 6)
    layers = [nn.Conv2d(channels, n, 3, draw.randint(1, 2), draw.randint(0, 1)), nn.ReLU()]
    if draw.random() < 0.5:  # something else reads the input first
        layers.insert(0, nn.MaxPool2d(2) if draw.random() < 0.5 else nn.BatchNorm2d(channels))
        layers[1].padding = (1, 1)
    return (channels, size, size), nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), n


def _sequence(draw):
    channels, length, n = draw.randint(1, 3), draw.randint(5, 9), draw.randint(2, 6)
    layers = nn.Conv1d(channels, n, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool1d(1)
    return (channels, length), nn.Sequential(*layers), n


def _vector(draw):
    n_in, n = draw.randint(2, 9), draw.randint(2, 6)
    return (n_in,), nn.Sequential(nn.Linear(n_in, n), nn.ReLU()), n


BRANCHES = {"picture": _picture, "sequence": _sequence, "vector": _vector}


def branches(seed):
    """A random module of two inputs."""
    torch.manual_seed(seed)
    return Branches(seed).eval()
