# SPDX-License-Identifier: Apache-2.0
"""Keyword spotting on samples: one-dimensional convolutions from the sound wave to classes.

The first layer takes the place of a filter bank, as in Dai et al., "Very Deep Convolutional Neural
Networks for Raw Waveforms"; a longer stride makes it cheaper.
"""

import torch
from torch import nn

SAMPLES = 16000
# Channels, and the pooling behind each convolution of three taps.
STAGES = ((32, 4), (32, 5), (64, 1))


class AudioCnn(nn.Module):
    """A convolution of 64 samples every 8, then three of 3 positions with poolings between them.

    Input: float32 (N, 1, 16000) in -1..1, or (N, 1, 1, 16000). Output: logits (N, n_classes).
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv1d(1, 16, 64, stride=8, padding=28, bias=False),
            *(nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(4)),
        ]
        channels = 16
        for n_out, pool in STAGES:
            layers.append(nn.Conv1d(channels, n_out, 3, padding=1, bias=False))
            layers += [nn.BatchNorm1d(n_out), nn.ReLU()]
            if pool > 1:
                layers.append(nn.MaxPool1d(pool))
            channels = n_out
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(channels, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(x.flatten(2)).mean(2))


def build_audio_cnn(n_classes: int = 8) -> nn.Module:
    """The registered network: 13k parameters."""
    return AudioCnn(n_classes)
