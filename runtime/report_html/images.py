# SPDX-License-Identifier: Apache-2.0
"""Test images with what the network said of them."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stemcore.models.data import BoxDataset, Dataset, MaskDataset
from stemcore.models.segmentation import segment

from ..report.accuracy import predictions
from ..report.schema import AGREEMENT
from ..report.screen import amount
from .run import Run
from .text import data_url, escape, percent, section

SHOWN = 24  # images at most
PICTURE_BYTES = 900_000  # of all pictures with boxes together
COLOURS = 128  # that pictures with boxes are reduced to


def pictures_section(run: Run, folder: Path) -> str:
    """Images and classes, images and masks, or pictures with boxes from ``folder``, where
    report.json names them; nothing of images that nobody labelled."""
    if run.dataset is None:
        return ""
    if isinstance(run.dataset, BoxDataset):
        return _boxes(run, folder)
    if isinstance(run.dataset, MaskDataset):
        return _masks(run, run.dataset)
    if run.dataset.test_images.dtype != np.uint8 or run.dataset.image_shape[0] not in (1, 3):
        return ""  # no pictures: sounds, vectors, many channels
    return _classes(run, run.dataset)


def _png(image: NDArray[np.uint8]) -> bytes:
    """An image (C, H, W) of one or three channels, pixel by pixel."""
    stream = BytesIO()
    array = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
    Image.fromarray(np.ascontiguousarray(array)).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _classes(run: Run, dataset: Dataset) -> str:
    said = predictions(run.outputs)
    truth = dataset.test_labels[: len(said)]
    figures = []
    for i, (got, wanted) in enumerate(zip(said[:SHOWN], truth[:SHOWN], strict=True)):
        right = got == wanted
        # A network of another purpose may have more outputs than there are classes.
        is_class = got < len(dataset.class_names)
        name = dataset.class_names[got] if is_class else f"output {got}"
        wanted_name = dataset.class_names[wanted]
        same, other = ("as float", "float: ") if dataset.metric == AGREEMENT else ("right", "is ")
        verdict = same if right else other + wanted_name
        figures.append(
            f'<figure class="{"right" if right else "wrong"}">'
            f'<img src="{data_url(_png(dataset.test_images[i]))}" alt="test image {i}">'
            f"<figcaption><b>{escape(name)}</b> "
            f"<span>{'✓' if right else '✗'} {escape(verdict)}</span></figcaption></figure>\n"
        )
    share = float((said == truth).mean())
    right_or_same = "as the float network" if dataset.metric == AGREEMENT else "right"
    lead = f"{int((said == truth).sum())} of {amount(len(said), 'image')} {right_or_same}"
    lead += f", {percent(share)}"
    if len(said) > SHOWN:
        lead += f"; the first {SHOWN} are shown"
    return section(
        "predictions", "Predictions", ['<div class="pictures">', *figures, "</div>"], f"{lead}."
    )


def _masks(run: Run, dataset: MaskDataset) -> str:
    """Image, what the network says and what is there, beside each other: a grey for each class."""
    said = segment(run.outputs)
    truth = dataset.test_masks[: len(said)]
    greys = np.linspace(0, 255, dataset.n_classes).astype(np.uint8)
    figures = []
    for i, (got, wanted) in enumerate(zip(said[:SHOWN], truth[:SHOWN], strict=True)):
        parts = (dataset.test_images[i], greys[got][None], greys[wanted][None])
        joined = np.concatenate([np.broadcast_to(p, (3, *got.shape)) for p in parts], axis=2)
        share = percent(float((got == wanted).mean()))
        figures.append(
            f'<figure class="boxes"><img src="{data_url(_png(joined))}" alt="test image {i}">'
            f"<figcaption>{share} of the pixels right</figcaption></figure>\n"
        )
    names = ", ".join(escape(name) for name in dataset.class_names)
    lead = (
        f"{percent(float((said == truth).mean()))} of the pixels of {amount(len(said), 'image')} "
        "are right. Each picture: the image, the network's classes, the data set's. Classes from "
        f"black to white: {names}."
    )
    if len(said) > SHOWN:
        lead += f" The first {SHOWN} are shown."
    return section(
        "predictions", "Predictions", ['<div class="pictures">', *figures, "</div>"], lead
    )


def _boxes(run: Run, folder: Path) -> str:
    rows = run.report["detections"]
    figures: list[str] = []
    left = PICTURE_BYTES
    for i, row in enumerate(rows[:SHOWN]):
        png = _reduced(folder / row["picture"])
        left -= len(png)
        if left < 0 and figures:
            break
        figures.append(
            f'<figure class="boxes"><img src="{data_url(png)}" alt="test image {i}">'
            f"<figcaption>{_objects(row['objects'])}</figcaption></figure>\n"
        )
    lead = "White boxes are the data set's, coloured ones the network's, with class and score."
    if len(figures) < len(rows):
        lead += f" The first {len(figures)} of {len(rows)} images; all are in detections/."
    return section(
        "predictions", "Predictions", ['<div class="pictures">', *figures, "</div>"], lead
    )


def _reduced(path: Path) -> bytes:
    stream = BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _objects(objects: list[dict[str, Any]]) -> str:
    if not objects:
        return "nothing found"
    return ", ".join(f"<b>{escape(one['class'])}</b> {one['score']:.2f}" for one in objects)
