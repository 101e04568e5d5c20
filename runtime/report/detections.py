# SPDX-License-Identifier: Apache-2.0
"""Detections as pictures: the test image, enlarged, with boxes drawn on it."""

import colorsys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from stemcore.models.data import BoxDataset
from stemcore.models.data.boxes import NO_OBJECT, Objects
from stemcore.models.detection import SHOWN_THRESHOLD, Detections, detect

# The shorter side of a picture is enlarged to about so many pixels.
SIDE = 448
TRUTH = (255, 255, 255)
TEXT_HEIGHT = 16


def write_pictures(dataset: BoxDataset, outputs: ArrayLike, folder: Path) -> list[dict[str, Any]]:
    """Draw what was found on the first test images to ``folder/<number>.png``.

    outputs : real values (N, 5 B + C, S, S), see :mod:`stemcore.models.yolo`

    Returns, per image, the file's name and the objects: class, score, and box x0, y0, x1, y1 in
    pixels of the network's input. Pictures of earlier runs are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    found = detect(np.asarray(outputs), dataset.image_shape[1:], SHOWN_THRESHOLD)
    rows = []
    for i, detections in enumerate(found):
        name = f"{i:03d}.png"
        picture = draw(
            dataset.test_images[i], detections, dataset.class_names, dataset.test_objects[i : i + 1]
        )
        picture.save(folder / name)
        objects = [
            {
                "class": dataset.class_names[label],
                "score": round(float(score), 4),
                "box": [round(float(edge), 2) for edge in box],
            }
            for box, score, label in zip(
                detections.boxes, detections.scores, detections.classes, strict=True
            )
        ]
        rows.append({"picture": f"{folder.name}/{name}", "objects": objects})
    return rows


def draw(
    image: NDArray[np.uint8],
    detections: Detections,
    class_names: tuple[str, ...],
    truth: Objects | None = None,
) -> Image.Image:
    """An image (C, H, W) with a box, a class and a score for each detection.

    truth : Objects of this one image, drawn as thin white boxes below the others.
    """
    pixels = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
    ratio = max(1, SIDE // min(pixels.shape[:2]))
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    size = (picture.width * ratio, picture.height * ratio)
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    if truth is not None:
        for box in truth.boxes[truth.classes != NO_OBJECT]:
            pen.rectangle(_corners(box, ratio), outline=TRUTH)
    # The best is drawn last, above the others.
    for i in reversed(range(len(detections))):
        label = int(detections.classes[i])
        colour = _colour(label, len(class_names))
        corners = _corners(detections.boxes[i], ratio)
        pen.rectangle(corners, outline=colour, width=3)
        text = f"{class_names[label]} {detections.scores[i]:.2f}"
        place = (corners[0] + 3, max(corners[1] - TEXT_HEIGHT - 4, 0))
        pen.rectangle(pen.textbbox(place, text, font_size=TEXT_HEIGHT), fill=(0, 0, 0))
        pen.text(place, text, fill=colour, font_size=TEXT_HEIGHT)
    return picture


def _corners(box: NDArray[Any], ratio: int) -> tuple[int, int, int, int]:
    """First and last pixel of a box's edges in the enlarged picture."""
    x0, y0, x1, y1 = (round(float(edge) * ratio) for edge in box)
    return x0, y0, max(x1 - 1, x0), max(y1 - 1, y0)


def _colour(label: int, n_classes: int) -> tuple[int, int, int]:
    """Hues around the circle, all bright."""
    red, green, blue = colorsys.hsv_to_rgb(label / n_classes, 0.75, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)
