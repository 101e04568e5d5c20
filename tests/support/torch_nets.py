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


class Fire(nn.Module):
    """Two convolutions beside each other, of one squeezed tensor (SqueezeNet's block)."""

    def __init__(self, c_in, squeezed, expanded):
        super().__init__()
        self.squeeze = nn.Conv2d(c_in, squeezed, 1)
        self.one = nn.Conv2d(squeezed, expanded, 1)
        self.three = nn.Conv2d(squeezed, 2 * expanded, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


class Dense(nn.Module):
    """Every layer reads all tensors before it, through a batch norm of its own (DenseNet)."""

    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in (3, 5, 7))
        self.convs = nn.ModuleList(nn.Conv2d(n, 2, 3, padding=1, bias=False) for n in (3, 5))
        self.last = nn.Conv2d(7, 4, 1)

    def forward(self, x):
        for norm, conv in zip(self.norms[:2], self.convs, strict=True):
            x = torch.cat([x, conv(F.relu(norm(x)))], 1)
        return F.avg_pool2d(self.last(F.relu(self.norms[-1](x))), 2)


class Joined(nn.Module):
    """Concatenations that are added to, given out, joined again, pooled, grouped."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(2, 2, 3, padding=1)
        self.b = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.groups = nn.Conv2d(6, 6, 3, padding=1, groups=3)
        self.over = nn.Conv2d(8, 4, 1, groups=2)

    def forward(self, x):
        y = torch.concat((self.a(x), F.relu(self.b(x))), dim=1)
        z = self.groups(F.relu(self.norm(y))) + y
        q = self.over(torch.cat([x, z], -3))
        return F.max_pool2d(torch.cat([torch.cat([q, x], 1), F.relu(q)], 1), 2)


class FlatJoined(nn.Module):
    """A dense layer over flattened images and pooled ones."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 3), nn.Conv2d(3, 4, 1)
        self.hidden, self.last = nn.Linear(31, 8), nn.Linear(39, 3)

    def forward(self, x):
        x = F.relu(self.a(x))
        y = torch.cat([x.flatten(1), F.adaptive_avg_pool2d(self.b(x), 1).flatten(1)], -1)
        return self.last(torch.cat([F.relu(self.hidden(y)), y], 1))


class Constants(nn.Module):
    """Every kind of arithmetic with constants, before and behind convolutions and alone."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.gain = nn.Parameter(torch.tensor([0.5, -1.5, 0.25, 2.0]).reshape(4, 1, 1))
        self.register_buffer("mean", torch.tensor([0.1, -0.2, 0.3]))
        self.register_buffer("std", torch.tensor([0.5, 0.25, 2.0]))

    def forward(self, x):
        x = (x - self.mean[None, :, None, None]) / self.std[None, :, None, None]
        y = F.relu(2 * self.a(x) - 1 + self.gain)
        z = self.b(y * 0.5 + 0.25) * self.gain
        z = F.relu(1 - z / 3)
        z += 0.125
        return (-z).flatten(1)


class Differences(nn.Module):
    """Tensors subtracted, scaled residuals, and an addition with a factor."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(2, 4, 1)

    def forward(self, x):
        y, z = F.relu(self.a(x)), F.relu(self.b(x))
        d = F.relu(y - z)
        return F.relu(torch.add(d, y, alpha=-0.5) + 0.1 * z)


class Channels(nn.Module):
    """Channels chunked, split, sliced, chosen and shuffled; rows and columns cropped."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 12, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.c = nn.Conv2d(8, 8, 3, padding=1, groups=4)

    def forward(self, x):
        y = F.relu(self.a(x))
        first, _, third = y.chunk(3, 1)
        left, right = torch.split(y, [3, 9], 1)
        z = self.b(torch.cat([first[:, 1:3], third[:, ::2]], 1))
        n, c, h, w = z.shape
        z = z.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        z = F.relu(self.c(z))
        z = z + F.channel_shuffle(right[:, :8], 2)
        z = torch.cat([z, left], 1)
        return z[:, :, 1:-1, ::2].flatten(1)


class Permuted(nn.Module):
    """A dense layer over an image whose channels come last."""

    def __init__(self):
        super().__init__()
        self.a, self.d = nn.Conv2d(2, 3, 3), nn.Linear(27, 5)

    def forward(self, x):
        return self.d(F.relu(self.a(x)).permute(0, 2, 3, 1).reshape(x.shape[0], -1))


class Upward(nn.Module):
    """A U-Net: joined and added to what was made smaller and larger again."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(6, 4, 2, 2)
        self.c, self.out = nn.Conv2d(8, 4, 3, padding=1), nn.ConvTranspose2d(8, 3, 1)

    def forward(self, x):
        a = F.relu(self.a(x))
        b = F.relu(self.b(F.max_pool2d(a, 2)))
        c = F.relu(self.c(torch.cat([self.up(b), a], 1)))
        d = c + F.interpolate(F.max_pool2d(c, 2), scale_factor=2, mode="bilinear")
        return self.out(torch.cat([d, F.interpolate(b, scale_factor=2)[:, :4]], 1))


class Reductions(nn.Module):
    """Means, sums and maxima over axes, also of views, one after another, and over channels."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 6, 3, padding=1), nn.Linear(29, 5)

    def forward(self, x):
        y = F.relu(self.a(x))
        n, c, h, w = y.shape
        found = [
            y.max(3)[0].max(2).values,
            y.flatten(2).amax(-1),
            y.view(n, 2, c // 2, h, w).mean(1).amax((2, 3)),
            y[:, :, 1:4].sum(2).mean(-1),
            y.permute(0, 2, 3, 1).mean((1, 2)),
            y.view(n, c, h // 2, 2, w).mean(3)[:, :2].amax((-1, -2)),
        ]
        return self.b(torch.cat(found, 1))


class Stacked(nn.Module):
    """Tensors stacked in front of the batch and behind it, and brought together again."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3), nn.Conv2d(2, 4, 3)
        self.c = nn.Conv2d(8, 3, 1)

    def forward(self, x):
        a, b = F.relu(self.a(x)), F.relu(self.b(x))
        mean = torch.stack([a, b]).mean(0)
        pair = torch.stack([a, b], 2).flatten(1, 2)
        total = torch.stack((b, mean, a), dim=1).sum(1)
        return self.c(pair) + total[:, :3]


class Decoder(nn.Module):
    """Vectors that become images, channels that become pixels and go back."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 48), nn.Conv2d(3, 8, 3, padding=1)
        self.c = nn.Conv2d(2, 3, 3, padding=1)

    def forward(self, x):
        y = F.relu(self.a(x.flatten(1))).unflatten(1, (3, 4, 4))
        y = F.pixel_shuffle(F.relu(self.b(y)), 2)
        y = F.relu(self.c(y))
        n, c, h, w = y.shape
        blocks = y.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
        return F.pixel_unshuffle(F.pixel_shuffle(blocks.reshape(n, 4 * c, h // 2, w // 2), 2), 4)


class Tokens(nn.Module):
    """Dense layers over the last axis: of a transposed sequence, and of one with a single place."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv1d(2, 4, 3), nn.Linear(4, 6), nn.Linear(6, 5)

    def forward(self, x):
        x = F.relu(self.b(F.relu(self.a(x.squeeze(2))).transpose(1, 2)))
        x = x.transpose(1, 2)
        return self.c(F.avg_pool1d(x, x.shape[-1]).permute(0, 2, 1)).squeeze(1)


class Places(nn.Module):
    """Constants that differ between positions, of images and of sequences."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv1d(4, 3, 3)
        self.image = nn.Parameter(torch.randn(1, 4, 3, 5))
        self.columns = nn.Parameter(torch.randn(5))
        self.register_buffer("line", torch.randn(3, 3))

    def forward(self, x):
        y = F.relu(self.a(x) + self.image)
        y = torch.sub(self.columns + y, torch.ones(4, 3, 5), alpha=0.25)
        return F.relu(self.b(y.amax(2)) - self.line)


class Generator(nn.Module):
    """A vector becomes an image: a batch norm and ReLU between both, transposed convolutions."""

    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Linear(6, 32), nn.BatchNorm1d(32)
        self.b, self.c = nn.ConvTranspose2d(2, 3, 4, 2, 1), nn.Linear(6, 6, bias=False)

    def forward(self, x):
        x = F.relu(self.c(x.flatten(1)))
        y = F.relu(self.norm(self.a(x))).view(-1, 2, 4, 4)
        return self.b(y)


def weight_normed():
    """Weights that the module computes from others."""
    return nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 4, 3)),
        nn.ReLU(),
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 4, 1)),
    )


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
    "stride": (
        lambda: chain(
            nn.Conv2d(2, 8, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(8, 4, (3, 2), stride=(2, 1), padding=(1, 0)),
            nn.ReLU(),
            nn.Conv2d(4, 3, 1),
        ),
        (2, 11, 9),
    ),
    "kernels": (
        lambda: chain(
            nn.Conv2d(2, 4, 4, padding="same"),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, dilation=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(4, 2, (1, 7), padding=(0, 3)),
        ),
        (2, 8, 8),
    ),
    "space_to_depth": (
        lambda: chain(
            nn.PixelUnshuffle(2), nn.Conv2d(8, 4, 3, padding=1), nn.ReLU(), nn.PixelUnshuffle(3)
        ),
        (2, 6, 12),
    ),
    "depthwise": (
        lambda: chain(
            nn.Conv2d(3, 6, 1),
            nn.ReLU6(),
            nn.Conv2d(6, 6, 3, padding=1, groups=6),
            nn.BatchNorm2d(6),
            nn.ReLU6(),
            nn.Conv2d(6, 4, 1, groups=2),
        ),
        (3, 6, 6),
    ),
    "vgg": (
        lambda: chain(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1),
            nn.MaxPool2d(3, 2, 1),
            nn.ReLU(),
            nn.Dropout(),
            nn.Flatten(),
            nn.Linear(108, 16),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Identity(),
            nn.Linear(16, 10),
        ),
        (3, 10, 10),
    ),
    "average": (
        lambda: chain(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1),
            nn.AvgPool2d(3, 2, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(6, 4),
        ),
        (2, 16, 16),
    ),
    "first": (
        lambda: chain(
            nn.MaxPool2d(2), nn.BatchNorm2d(3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        ),
        (3, 9, 8),
    ),
    "flat": (
        lambda: chain(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.ReLU(), nn.Linear(64, 5)),
        (2, 6, 6),
    ),
    "dense": (
        lambda: chain(nn.Flatten(), nn.Linear(32, 12), nn.ReLU(), nn.Linear(12, 3)),
        (2, 4, 4),
    ),
    "residual": (
        lambda: chain(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            Residual(8, 8),
            Residual(8, 12, 2),
            Residual(12, 12),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, 6),
        ),
        (3, 8, 8),
    ),
    "shared": (Shared, (2, 8, 8)),
    "constants": (Constants, (3, 5, 4)),
    "differences": (Differences, (2, 5, 5)),
    "channels": (Channels, (2, 6, 7)),
    "permuted": (Permuted, (2, 5, 5)),
    "weight norm": (weight_normed, (2, 5, 5)),
    "flat norm": (
        lambda: chain(
            nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(27), nn.Linear(27, 4)
        ),
        (1, 5, 5),
    ),
    "overlapping": (
        lambda: chain(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(3)),
        (1, 7, 7),
    ),
    "sums": (Sums, (3, 5, 5)),
    "fire": (
        lambda: chain(
            nn.Conv2d(3, 6, 3),
            nn.ReLU(),
            Fire(6, 3, 4),
            nn.MaxPool2d(2),
            Fire(12, 4, 2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 4),
        ),
        (3, 8, 8),
    ),
    "dense block": (Dense, (3, 6, 6)),
    "joined": (Joined, (2, 4, 4)),
    "flat joined": (FlatJoined, (2, 5, 5)),
    "pads": (
        lambda: chain(
            nn.ZeroPad2d((0, 1, 2, 0)),
            nn.Conv2d(2, 4, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.ZeroPad2d(1),
            nn.MaxPool2d(3, 2),
            nn.ZeroPad2d((2, 0, 0, 3)),
            nn.ZeroPad2d((1, 1, 0, 0)),
            nn.Conv2d(4, 4, 2, groups=4),
            nn.ReLU(),
            nn.ZeroPad2d((0, 0, 1, 0)),
            nn.AvgPool2d(2),
        ),
        (2, 7, 6),
    ),
    "uneven pools": (
        lambda: chain(
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(2, 4, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(3, 2, 1, count_include_pad=False),
            nn.AdaptiveMaxPool2d((3, 2)),
            nn.BatchNorm2d(4),
            nn.Conv2d(4, 3, 1),
            nn.AvgPool2d(2, ceil_mode=True),
        ),
        (2, 11, 7),
    ),
    "uneven adaptive": (
        lambda: chain(
            nn.AdaptiveAvgPool2d((3, 5)), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.AdaptiveAvgPool2d(2)
        ),
        (2, 8, 7),
    ),
    "large maximum": (
        lambda: chain(nn.Conv2d(1, 2, 3), nn.AdaptiveMaxPool2d((1, 2)), nn.ReLU()),
        (1, 13, 31),
    ),
    "large average": (
        lambda: chain(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1)),
        (1, 12, 9),
    ),
    "staged average": (
        lambda: chain(
            nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)
        ),
        (1, 19, 20),
    ),
    "transposed": (
        lambda: chain(
            nn.Conv2d(2, 6, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(6, 4, 3, 2, 1, output_padding=1, groups=2, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.ConvTranspose2d(4, 3, (2, 3), (1, 2), (2, 0), dilation=(3, 1)),
        ),
        (2, 4, 3),
    ),
    "interpolated": (
        lambda: chain(
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2, 3, 1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Conv2d(3, 2, 3),
            nn.Upsample(size=(5, 4), mode="nearest"),
            nn.Upsample(size=(7, 5), mode="bilinear", align_corners=True),
        ),
        (2, 3, 4),
    ),
    "upward": (Upward, (2, 8, 6)),
    "reductions": (Reductions, (2, 6, 4)),
    "stacked": (Stacked, (2, 5, 4)),
    "decoder": (Decoder, (5, 1, 1)),
    "tokens": (Tokens, (2, 1, 9)),
    "places": (Places, (2, 3, 5)),
    "generator": (Generator, (6, 1, 1)),
}
