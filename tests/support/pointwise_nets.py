# SPDX-License-Identifier: Apache-2.0
"""Every function of one value that a network may have inside, and networks with such functions."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.support.torch_nets import chain

FUNCTIONS = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "random": lambda x: F.rrelu(x, 0.1, 0.4),
    "folded": lambda x: F.leaky_relu(x, -0.5),
    "prelu": nn.PReLU(init=0.2),
    "hardtanh": F.hardtanh,
    "clamp": lambda x: x.clamp(-0.5, 2.0),
    "clamp_min": lambda x: x.clamp(min=-0.3),
    "clamp_max": lambda x: x.clamp(max=0.4),
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "silu": F.silu,
    "mish": F.mish,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "elu": lambda x: F.elu(x, 0.7),
    "selu": F.selu,
    "celu": lambda x: F.celu(x, 1.5),
    "softplus": lambda x: F.softplus(x, 2.0),
    "abs": torch.abs,
    "sign": torch.sign,
    "in_place": lambda x: F.hardswish(F.leaky_relu(x * 1.0, 0.3, inplace=True), inplace=True),
    "tanh_then_relu": lambda x: torch.tanh(x).relu(),
    "relu6_then_gelu": lambda x: F.gelu(F.relu6(x)),
    "swish": lambda x: x * torch.sigmoid(x),
    "hand_hardswish": lambda x: x * F.relu6(x + 3) / 6,
    "hand_mish": lambda x: torch.tanh(F.softplus(x)) * x,
    "square": lambda x: x * x,
    "scaled_tanh": lambda x: 0.5 * (1 + torch.tanh(2 * x)),
    "shrunk": lambda x: F.silu(F.hardtanh(x, -2.0, 3.0)).abs(),
}


class Function(nn.Module):
    """A function as a module; its parameters are frozen."""

    def __init__(self, name):
        super().__init__()
        self.function = FUNCTIONS[name]

    def forward(self, x):
        return self.function(x)


class Extremes(nn.Module):
    """The larger and the smaller of two convolutions, of which one has a slope for each channel."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3), nn.Conv2d(2, 4, 3)
        self.slopes = nn.PReLU(4)
        with torch.no_grad():
            self.slopes.weight.copy_(torch.tensor([0.1, -0.5, 1.0, 0.0]))

    def forward(self, x):
        a, b = self.slopes(self.a(x)), self.b(x)
        return torch.maximum(a, b) * 0.5 + torch.minimum(a, b)


NETS = {
    "branches": (
        lambda: chain(
            nn.Conv2d(2, 6, 3, padding=1),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 6, 3, padding=1),
            nn.MaxPool2d(2, 1),
            nn.SiLU(),
            nn.Flatten(),
            nn.LeakyReLU(0.2),
            nn.Linear(54, 5),
            nn.ELU(),
            nn.Linear(5, 3),
        ),
        (2, 8, 8),
    ),
    "averages": (
        lambda: chain(
            nn.Tanh(),
            nn.Conv2d(2, 5, 3),
            nn.AvgPool2d(2),
            nn.Sigmoid(),
            nn.Conv2d(5, 3, 2),
            nn.Softplus(),
        ),
        (2, 8, 8),
    ),
    "extremes": (Extremes, (2, 6, 6)),
}


def build(name):
    """A network of ``NETS`` with weights that depend on its name alone, and its input's shape."""
    make, shape = NETS[name]
    torch.manual_seed(sorted(NETS).index(name))
    return make().eval(), shape


def build_function(name):
    """A convolution, a function and a dense layer over 1 x 6 x 6."""
    torch.manual_seed(sorted(FUNCTIONS).index(name))
    net = chain(nn.Conv2d(1, 5, 3), Function(name), nn.Flatten(), nn.Linear(80, 3)).eval()
    with torch.no_grad():
        net[0].weight.mul_(3)
    return net
