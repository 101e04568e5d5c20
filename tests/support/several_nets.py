# SPDX-License-Identifier: Apache-2.0
"""Torch modules with several outputs, one for each way of returning them."""

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
