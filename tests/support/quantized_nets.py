# SPDX-License-Identifier: Apache-2.0
"""Networks that tests quantize with other tools, and images for them."""

import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    """Convolutions with batch norm, an identity and a strided shortcut, pooling, a dense layer."""

    shape = (3, 8, 8)

    def __init__(self):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.c2, self.b2 = nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.BatchNorm2d(8)
        self.c3 = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.short = nn.Conv2d(8, 12, 1, stride=2)
        self.fc = nn.Linear(12 * 2 * 2, 10)

    def forward(self, x):
        x = torch.relu(self.b1(self.c1(x)))
        x = torch.relu(x + self.b2(self.c2(x)))
        x = torch.relu(self.c3(x) + self.short(x))
        return self.fc(F.max_pool2d(x, 2).flatten(1))


class Pools(nn.Module):
    """Average and max pooling, concatenated channels, signed values, ReLU6, no bias."""

    shape = (2, 8, 8)

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.b = nn.Conv2d(2, 4, 1)
        self.c = nn.Conv2d(10, 8, 3)
        self.d = nn.Conv2d(8, 5, 3)

    def forward(self, x):
        y = F.relu6(self.a(x) * 4)
        z = torch.relu(self.b(x))
        y = F.avg_pool2d(self.c(torch.cat([y, z], 1)), 2)
        return self.d(y).flatten(1)


class Sequence(nn.Module):
    """Convolutions over sequences."""

    shape = (2, 16)

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(2, 6, 5, stride=2, padding=2), nn.Conv1d(6, 6, 3, groups=3)
        self.last = nn.Linear(36, 4)

    def forward(self, x):
        return self.last(torch.relu(self.b(torch.relu(self.a(x)))).flatten(1))


class Small(nn.Module):
    """A convolution with batch norm, and a dense layer."""

    shape = (2, 6, 6)

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
        self.last = nn.Linear(16, 3)

    def forward(self, x):
        return self.last(F.max_pool2d(torch.relu(self.norm(self.conv(x))), 2).flatten(1))


def make(kind, seed=0):
    """A network in evaluation mode, with batch norms that have seen something."""
    torch.manual_seed(seed)
    net = kind().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.normal_(0, 0.3)
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 1.5)
    return net


def images_for(net, n, seed=1):
    """Images (n, ..) on the scale of the chip's input; noise, sparse ones, one spike, none."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(-127, 128, (n, *net.shape), generator=generator)
    codes[1] *= torch.rand(net.shape, generator=generator) < 0.05
    codes[2] = 0
    codes[3] = 0
    codes[3].view(-1)[7] = 1
    codes[4] = 127
    return codes, codes / 128
