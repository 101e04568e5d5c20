# SPDX-License-Identifier: Apache-2.0
"""Random crops, flips, zooms and colours of image bytes, and of the boxes on them."""

import math

import torch

from .data.image_files import PADDING_BYTE
from .recipes import Recipe

# An object of which less than this share of its area is left is not looked for any more.
LEAST_VISIBLE = 0.3


def augment(
    images: torch.Tensor,
    shift: int,
    flip: bool | torch.Tensor,
    generator: torch.Generator,
    cutout: int = 0,
) -> torch.Tensor:
    """Each image moved by -shift..shift pixels in both directions and, maybe, mirrored.

    flip : bool, or bool tensor (N,)
        Whether a random half is mirrored, or which images are.
    cutout : int
        Side, in pixels, of a square anywhere within the image that is covered (DeVries and Taylor,
        arXiv 1708.04552).
    images : uint8 tensor (N, C, H, W). Returns a new tensor of the same shape; uncovered pixels
    become ``PADDING_BYTE``. All randomness comes from ``generator``.
    """
    n, _, height, width = images.shape
    rows = torch.arange(height) + torch.zeros(n, 1, dtype=torch.long)
    columns = torch.arange(width) + torch.zeros(n, 1, dtype=torch.long)
    if isinstance(flip, torch.Tensor) or flip:
        mirrored = (
            flip[:, None]
            if isinstance(flip, torch.Tensor)
            else torch.randint(2, (n, 1), generator=generator).bool()
        )
        columns = torch.where(mirrored, columns.flip(1), columns)
    if shift:
        images = torch.nn.functional.pad(images, (shift,) * 4, value=PADDING_BYTE)
        rows = rows + torch.randint(2 * shift + 1, (n, 1), generator=generator)
        columns = columns + torch.randint(2 * shift + 1, (n, 1), generator=generator)
    # Advanced indices around the channel slice put the channels last.
    picked = images[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    picked = picked.permute(0, 3, 1, 2)
    if cutout:
        covered = _squares(n, height, width, cutout, generator)
        picked = picked.masked_fill(covered[:, None], PADDING_BYTE)
    return picked


def _squares(
    n: int, height: int, width: int, side: int, generator: torch.Generator
) -> torch.Tensor:
    """Bool tensor (n, height, width): true within one square each, which lies inside the image."""

    def spans(length: int) -> torch.Tensor:
        start = torch.randint(max(length - side, 0) + 1, (n, 1), generator=generator)
        place = torch.arange(length)
        return (place >= start) & (place < start + side)

    return spans(height)[:, :, None] & spans(width)[:, None, :]


def augment_boxes(
    images: torch.Tensor,
    boxes: torch.Tensor,
    classes: torch.Tensor,
    recipe: Recipe,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images moved, zoomed, mirrored and tinted at random, and their boxes with them.

    images : uint8 tensor (N, C, H, W)
    boxes : float32 tensor (N, M, 4)
        x0, y0, x1, y1 in pixels.
    classes : int64 tensor (N, M)
        Negative where there is no object.
    recipe : stemcore.models.recipes.Recipe
        ``shift``, ``zoom``, ``flip`` and ``colour`` say how much.

    Returns new tensors of the same shapes; uncovered pixels become ``PADDING_BYTE``, and objects
    that have mostly left the image get the class -1.
    """
    n, channels, height, width = images.shape

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(n, *shape, generator=generator) * 2 - 1

    zoom = torch.exp(uniform() * math.log1p(recipe.zoom))
    shift = uniform(2) * recipe.shift
    mirror = torch.where(torch.rand(n, generator=generator) < 0.5 * recipe.flip, -1.0, 1.0)
    half = torch.tensor([width / 2, height / 2])
    # From a place u of the result back to x in the image: x = (u - shift) * back, from the centre.
    back = torch.stack([mirror / zoom, 1 / zoom], 1)
    theta = torch.cat([torch.diag_embed(back), (-shift / half * back)[:, :, None]], 2)
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    moved = torch.nn.functional.grid_sample(
        images.float() - PADDING_BYTE, grid, align_corners=False
    )
    if recipe.colour:
        gain = torch.exp(uniform(1, 1, 1) * recipe.colour)
        moved = moved * gain + uniform(channels, 1, 1) * (recipe.colour * PADDING_BYTE / 2)
    corners = (boxes.reshape(n, -1, 2) - half) / back[:, None] + shift[:, None] + half
    corners = corners.reshape(n, -1, 2, 2)
    edges = torch.cat([corners.amin(2), corners.amax(2)], -1)
    clipped = edges.clamp(min=0).minimum(torch.cat([half, half]) * 2)
    left = _areas(clipped) / _areas(edges).clamp(min=1e-9)
    classes = torch.where(left >= LEAST_VISIBLE, classes, -1)
    return (moved + PADDING_BYTE).round().clamp(0, 255).to(torch.uint8), clipped, classes


def _areas(boxes: torch.Tensor) -> torch.Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)
