# SPDX-License-Identifier: Apache-2.0
"""The softmax at the end of networks that are published with one."""

import torch
from torch import nn


class Probabilities(nn.Module):
    """Probabilities of the classes; while training their logarithms.

    Cross-entropy takes logits, and logarithms of probabilities are logits of the same ones: so the
    network trains like any other and ends, in use, in the softmax that it is published with.

    Input: logits (N, C). Output: (N, C).
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.log_softmax(1) if self.training else x.softmax(1)
