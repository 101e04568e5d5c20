# SPDX-License-Identifier: Apache-2.0
"""The 1,797 handwritten digits that come with scikit-learn: 1 x 8 x 8, values 0..16."""

import numpy as np

from ..arrays import Labels
from .dataset import Dataset

N_TEST = 360
SPLIT_SEED = 2024


def split_indices(
    labels: Labels, n_test: int = N_TEST, seed: int = SPLIT_SEED
) -> tuple[Labels, Labels]:
    """Fixed stratified split: shuffled ``(train, test)`` indices, the same on every call.

    Each class gives its share of the test set, rounded by largest remainder.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    classes, counts = np.unique(labels, return_counts=True)
    share = counts * n_test / len(labels)
    quota = np.floor(share).astype(np.int64)
    largest = np.argsort(-(share - quota), kind="stable")
    quota[largest[: n_test - quota.sum()]] += 1
    is_test = np.zeros(len(labels), bool)
    for label, n_class in zip(classes, quota, strict=True):
        is_test[rng.permutation(np.flatnonzero(labels == label))[:n_class]] = True
    order = rng.permutation(len(labels))
    return order[~is_test[order]], order[is_test[order]]


def load_digits(n_train: int | None = None, n_test: int | None = None) -> Dataset:
    """Digits as a :class:`Dataset` of 1 x 8 x 8 images, ``u8 = round(v * 255 / 16)``.

    n_train, n_test : int or None
        Only the first images of a split.
    """
    from sklearn.datasets import load_digits as load_bundled

    bundle = load_bundled()
    images = np.rint(bundle.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bundle.target.astype(np.int64)
    train, test = split_indices(labels)
    train, test = train[:n_train], test[:n_test]
    return Dataset(
        "digits",
        images[train],
        labels[train],
        images[test],
        labels[test],
        class_names=tuple("0123456789"),
        provenance="digits of scikit-learn, 1437 training and 360 test images",
    )
