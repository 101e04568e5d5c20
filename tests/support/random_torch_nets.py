# SPDX-License-Identifier: Apache-2.0
"""Random torch networks: any order of layers, values used more than once, weights far apart."""

import torch
from torch import nn


class RandomNet(nn.Module):
    """Up to ``depth`` random operators on earlier values, among them additions and concatenations;
    maybe a classifier.

    rng : numpy.random.Generator
        Decides the structure; weights come from torch's own generator.
    """

    def __init__(self, rng, shape, depth=8):
        super().__init__()
        self.parts = nn.ModuleList()
        self.steps = []  # (part or name of an operator, operand, second operand)
        values = [torch.zeros(1, *shape)]
        for _ in range(int(rng.integers(1, depth + 1))):
            # Mostly the last value, so that the network is deep.
            i = len(values) - 1 if rng.random() < 0.7 else int(rng.integers(len(values)))
            kind = rng.random()
            if kind < 0.2:
                equal = [j for j, v in enumerate(values) if v.shape == values[i].shape]
                self.steps.append(("add", i, int(rng.choice(equal))))
                values.append(values[i])
                continue
            if kind < 0.3:
                equal = [j for j, v in enumerate(values) if v.shape[2:] == values[i].shape[2:]]
                self.steps.append(("concat", i, int(rng.choice(equal))))
                values.append(torch.cat([values[i], values[self.steps[-1][2]]], 1))
                continue
            part = self._part(rng, values[i].shape[1], min(values[i].shape[2:])).eval()
            self._spread(rng, part)
            self.steps.append((len(self.parts), i, None))
            self.parts.append(part)
            values.append(part(values[i]))
        n_features = values[-1][0].numel()
        self.classifier = nn.Linear(n_features, 5) if rng.random() < 0.5 else None

    @staticmethod
    def _part(rng, channels, size):
        kernel = int(rng.integers(1, min(size, 4) + 1))
        stride, padding = int(rng.integers(1, 3)), int(rng.integers(0, kernel // 2 + 1))
        c_out = int(rng.integers(1, 9))
        return rng.choice(
            [
                lambda: nn.Conv2d(channels, c_out, kernel, stride, padding, bias=bool(c_out % 2)),
                lambda: nn.Conv2d(channels, c_out, kernel, 1, padding),
                lambda: nn.Conv2d(channels, 2 * channels, kernel, stride, padding, groups=channels),
                nn.ReLU,
                nn.ReLU,
                nn.ReLU6,
                lambda: nn.BatchNorm2d(channels),
                lambda: nn.MaxPool2d(kernel, stride, padding),
                lambda: nn.AvgPool2d(kernel, stride, padding),
                lambda: nn.AdaptiveAvgPool2d(1),
                lambda: nn.ZeroPad2d(tuple(int(n) for n in rng.integers(0, 3, 4))),
            ]
        )()

    @staticmethod
    def _spread(rng, part):
        with torch.no_grad():
            for parameter in part.parameters():
                if rng.random() < 0.3:
                    parameter *= 10.0 ** float(rng.uniform(-3, 1.5))
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.uniform_(-1, 1)
                part.running_var.uniform_(0.01, 3)

    def forward(self, x):
        values = [x]
        for part, i, j in self.steps:
            if part == "add":
                values.append(values[i] + values[j])
            elif part == "concat":
                values.append(torch.cat([values[i], values[j]], 1))
            else:
                values.append(self.parts[part](values[i]))
        return values[-1] if self.classifier is None else self.classifier(values[-1].flatten(1))
