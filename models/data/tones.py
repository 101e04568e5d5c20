# SPDX-License-Identifier: Apache-2.0
"""A set of sounds that needs no download: eight kinds of tones in noise, 16,000 samples a second.

Samples are bytes, as of a sound file of 8 bits: 128 is silence. Every sound follows from the seed,
its split and its number alone.
"""

import numpy as np

from ..arrays import Bytes, Floats, Labels, Shape
from ..errors import DataError
from .dataset import Dataset

RATE = 16000  # samples a second
N_TRAIN, N_TEST = 1600, 400
SEED = 2026
CLASS_NAMES = (
    *("noise", "steady", "rising", "falling", "high then low", "low then high"),
    *("trill", "clicks"),
)
SHORTEST = RATE // 2
LOWEST, HIGHEST = 300.0, 1200.0  # Hz
SILENCE = 128


def load_tones(
    input_shape: Shape, n_train: int | None = None, n_test: int | None = None
) -> Dataset:
    """Sounds as a :class:`Dataset` of ``input_shape`` (1, 1, samples).

    n_train, n_test : int or None
        Only the first sounds of a split; the others are not made.
    """
    if input_shape[:2] != (1, 1) or input_shape[2] < SHORTEST:
        raise DataError(
            f"tones: sounds have one channel, one row and {SHORTEST:,} samples or more; "
            f"a model with the input {tuple(input_shape)} came; choose a model of sounds"
        )
    train = _make_all(0, N_TRAIN if n_train is None else min(n_train, N_TRAIN), input_shape)
    test = _make_all(1, N_TEST if n_test is None else min(n_test, N_TEST), input_shape)
    made = f"made tones, {N_TRAIN} for training and {N_TEST} for tests"
    return Dataset("tones", *train, *test, CLASS_NAMES, made)


def _make_all(split: int, n: int, input_shape: Shape) -> tuple[Bytes, Labels]:
    sounds = np.empty((n, *input_shape), np.uint8)
    labels = np.arange(n) % len(CLASS_NAMES)
    for i in range(n):
        rng = np.random.Generator(np.random.PCG64([SEED, split, i]))
        sounds[i, 0, 0] = make_sound(rng, int(labels[i]), input_shape[2])
    return sounds, labels


def make_sound(rng: np.random.Generator, label: int, n_samples: int) -> Bytes:
    """One sound of a class, uint8 (n_samples,): a quarter to a half second of it, in noise."""
    sound = rng.normal(0, rng.uniform(0.005, 0.03), n_samples)
    if CLASS_NAMES[label] != "noise":
        length = int(rng.uniform(0.5, 0.95) * SHORTEST)
        start = int(rng.integers(0, n_samples - length + 1))
        tone = _tone(rng, CLASS_NAMES[label], length)
        sound[start : start + length] += rng.uniform(0.25, 0.8) * tone
    return np.rint(np.clip(sound * SILENCE + SILENCE, 0, 255)).astype(np.uint8)


def _tone(rng: np.random.Generator, kind: str, length: int) -> Floats:
    """Samples in -1..1 that begin and end softly."""
    t = np.arange(length) / length  # share of the whole that has passed
    pitch = rng.uniform(LOWEST, HIGHEST)
    interval = rng.uniform(1.6, 2.2)
    envelope = np.minimum(1, 20 * np.minimum(t, 1 - t))
    if kind == "clicks":
        # Bursts with silence between them.
        envelope = envelope * ((t * rng.uniform(8, 14)) % 1 < 0.25)
    frequency = {
        "rising": pitch * interval**t,
        "falling": pitch * interval ** (1 - t),
        "high then low": pitch * np.where(t < 0.5, interval, 1),
        "low then high": pitch * np.where(t < 0.5, 1, interval),
        "trill": pitch * np.where((t * rng.uniform(8, 14)) % 1 < 0.5, 1, interval),
    }.get(kind, np.full(length, pitch))
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    second = rng.uniform(0, 0.3)  # share of the octave above
    waves = ((1 - second) * np.sin(phase) + second * np.sin(2 * phase)) * envelope
    found: Floats = waves
    return found
