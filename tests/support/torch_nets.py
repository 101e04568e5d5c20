# SPDX-License-Identifier: Apache-2.0
"""Small torch networks with random weights, one for each thing that the compiler must take."""

import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)


class Residual(nn.Module):
    """A block with batch norm, in which the shortcut is the identity or a strided convolution."""

    def __init__(self, c_in, c_out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.down = None
        if stride != 1 or c_in != c_out:
            self.down = nn.Sequential(
                nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out)
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.down is None else self.down(x)
        return F.relu(y, inplace=True)


class Shared(nn.Module):
    """Values with several users: nothing may be fused away from another user."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU()
        self.last = nn.Conv2d(6, 6, 3, padding=1, groups=3)

    def forward(self, x):
        y = self.conv(x)
        z = self.relu(self.norm(y))
        p = F.max_pool2d(z, 3, 2, 1)
        q = F.avg_pool2d(y, 2)
        return self.relu(self.last(z)).mean((2, 3)) + F.max_pool2d(p + q, 4).flatten(1)


class Sums(nn.Module):
    """Additions of additions, of one value to itself, and of the input."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 3, 1)
        self.b = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        y = self.a(x) + self.b(x) + x
        return F.relu(y + y) + x


def chain(*layers):
    """Layers in order."""
    return nn.Sequential(*layers)


def build(name, seed=0):
    """``(module in evaluation mode, input shape)`` of a network of :data:`NETS`."""
    make, shape = NETS[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = make()
        for part in module.modules():
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.uniform_(part.bias, -0.5, 0.5)
                nn.init.uniform_(part.running_mean, -0.3, 0.3)
                nn.init.uniform_(part.running_var, 0.2, 1.5)
    return module.eval(), shape


NETS = {
    "conv": (lambda: nn.Conv2d(3, 5, 3, padding=1), (3, 7, 6)),
    "stride": (lambda: chain(
        nn.Conv2d(2, 8, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(8, 4, (3, 2), stride=(2, 1), padding=(1, 0)), nn.ReLU(),
        nn.Conv2d(4, 3, 1)), (2, 11, 9)),
    "kernels": (lambda: chain(
        nn.Conv2d(2, 4, 4, padding="same"), nn.ReLU(), nn.Conv2d(4, 4, 3, dilation=2, padding=2),
        nn.ReLU(), nn.Conv2d(4, 2, (1, 7), padding=(0, 3))), (2, 8, 8)),
    "depthwise": (lambda: chain(
        nn.Conv2d(3, 6, 1), nn.ReLU6(), nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6),
        nn.ReLU6(), nn.Conv2d(6, 4, 1, groups=2)), (3, 6, 6)),
    "vgg": (lambda: chain(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1), nn.MaxPool2d(3, 2, 1), nn.ReLU(), nn.Dropout(),
        nn.Flatten(), nn.Linear(108, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Identity(),
        nn.Linear(16, 10)), (3, 10, 10)),
    "average": (lambda: chain(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 3, padding=1),
        nn.AvgPool2d(3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(6, 4)), (2, 16, 16)),
    "first": (lambda: chain(
        nn.MaxPool2d(2), nn.BatchNorm2d(3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        (3, 9, 8)),
    "flat": (lambda: chain(
        nn.Conv2d(2, 4, 3), nn.Flatten(), nn.ReLU(), nn.Linear(64, 5)), (2, 6, 6)),
    "dense": (lambda: chain(nn.Flatten(), nn.Linear(32, 12), nn.ReLU(), nn.Linear(12, 3)),
              (2, 4, 4)),
    "residual": (lambda: chain(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), Residual(8, 8), Residual(8, 12, 2),
        Residual(12, 12), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 6)), (3, 8, 8)),
    "shared": (Shared, (2, 8, 8)),
    "sums": (Sums, (3, 5, 5)),
}  # fmt: skip
