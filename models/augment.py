# SPDX-License-Identifier: Apache-2.0
"""Random crops and flips of image bytes."""

import torch

# The byte that becomes 0 at the network's input, as the convolutions' own padding does.
PADDING_BYTE = 128


def augment(images, shift, flip, generator):
    """Each image moved by -shift..shift pixels in both directions and, maybe, mirrored.

    images : uint8 tensor (N, C, H, W). Returns a new tensor of the same shape; uncovered pixels
    become ``PADDING_BYTE``. All randomness comes from ``generator``.
    """
    n, _, height, width = images.shape
    rows = torch.arange(height) + torch.zeros(n, 1, dtype=torch.long)
    columns = torch.arange(width) + torch.zeros(n, 1, dtype=torch.long)
    if flip:
        mirrored = torch.randint(2, (n, 1), generator=generator).bool()
        columns = torch.where(mirrored, columns.flip(1), columns)
    if shift:
        images = torch.nn.functional.pad(images, (shift,) * 4, value=PADDING_BYTE)
        rows = rows + torch.randint(2 * shift + 1, (n, 1), generator=generator)
        columns = columns + torch.randint(2 * shift + 1, (n, 1), generator=generator)
    # Advanced indices around the channel slice put the channels last.
    picked = images[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)
