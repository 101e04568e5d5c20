# SPDX-License-Identifier: Apache-2.0
"""Leaky integrate-and-fire neurons that can be trained, and the codes that turn images to spikes.

For comparison with STEM alone: networks of these neurons are float references, and the compiler has
no such layer. All T time steps of a batch lie one after the other in the batch's axis, step by
step: (T * N, ..), so that convolutions, batch norm and pooling see a larger batch and nothing else.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .data.preprocess import INPUT_OFFSET, INPUT_SCALE

LEAK = 0.5  # what a time step leaves of a potential
THRESHOLD = 1.0
Code = Callable[[torch.Tensor, int], torch.Tensor]  # images and steps to spikes
LEVELS = 2 * INPUT_OFFSET  # of grey, in the bytes behind an image


class Fire(torch.autograd.Function):
    """Step function of the distance to the threshold: 1 where it is 0 or above.

    Its gradient is that of ``arctan(pi x) / pi + 1/2`` instead: ``1 / (1 + (pi x)^2)`` (Fang et
    al., "Incorporating Learnable Membrane Time Constant", ICCV 2021).
    """

    @staticmethod
    def forward(context: Any, distance: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(distance)
        # Straight into the wanted type: by way of booleans this step is twenty times as long.
        return torch.ge(distance, 0, out=torch.empty_like(distance))

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        (distance,) = context.saved_tensors
        return gradient / (1 + (torch.pi * distance) ** 2)


class LIF(nn.Module):
    """Leaky integrate-and-fire neurons, half of the potential kept from step to step, hard reset.

    Per time step, with input x, potential v (0 at first) and spike s (Wu et al., "Spatio-Temporal
    Backpropagation", Frontiers in Neuroscience 2018, its iterative form; leak and threshold ours):

        h = v / 2 + x;   s = h >= 1;   v = h (1 - s)

    The reset passes no gradient through s.

    Parameters
    ----------
    steps : int
        T.

    Input: (T * N, ..), step by step. Output: spikes, 0 or 1, of the same shape and type.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, spikes = None, []
        for drive in x.chunk(self.steps):
            h = drive if h is None else drive + LEAK * h * (1 - spikes[-1].detach())
            spikes.append(Fire.apply(h - THRESHOLD))  # type: ignore[no-untyped-call]
        return torch.cat(spikes)

    def extra_repr(self) -> str:
        return f"steps={self.steps}"


def direct_code(images: torch.Tensor, steps: int) -> torch.Tensor:
    """The image as it is, at every time step: the first layer's neurons turn it into spikes.

    images : float (N, C, H, W). Returns (T * N, C, H, W).
    """
    return images.repeat(steps, 1, 1, 1)


def position_code(images: torch.Tensor, steps: int) -> torch.Tensor:
    """One spike per pixel; when it comes says how bright the pixel is, the brightest come first.

    The T steps share the 256 grey levels evenly: level u (0..255) fires at
    ``t = T - 1 - floor(u T / 256)``.

    images : float (N, C, H, W) of :func:`stemcore.models.data.preprocess.to_float_input`.
    Returns 0 or 1, (T * N, C, H, W).
    """
    level = (images.float() / INPUT_SCALE).round() + INPUT_OFFSET
    when = steps - 1 - (level * steps / LEVELS).floor()
    return torch.cat([(when == t).to(images.dtype) for t in range(steps)])
