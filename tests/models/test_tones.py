# SPDX-License-Identifier: Apache-2.0
"""Made sounds: repeatable, of the pitch that their class says, and refused for other models."""

import numpy as np
import pytest

from stemcore.models.data import load_dataset
from stemcore.models.data.tones import CLASS_NAMES, RATE, SILENCE, make_sound
from stemcore.models.errors import DataError

SHAPE = (1, 1, 16000)


def test_sounds_are_the_same_on_every_call_and_for_every_count():
    few = load_dataset("tones", SHAPE, n_train=3, n_test=2)
    more = load_dataset("tones", SHAPE, n_train=9, n_test=0)
    np.testing.assert_array_equal(few.train_images, more.train_images[:3])
    assert not np.array_equal(few.train_images[:2], few.test_images)
    assert more.train_labels.tolist() == [*range(8), 0]
    assert few.train_images.dtype == np.uint8 and few.train_images.shape == (3, *SHAPE)


def pitches(sound):
    """Loudest frequency of the first and of the last third of what is loud."""
    wave = sound.astype(float) - SILENCE
    loudness = np.convolve(abs(wave), np.ones(200) / 200, "same")
    loud = np.flatnonzero(loudness > loudness.max() / 2)
    wave = wave[loud[0] : loud[-1] + 1]
    third = len(wave) // 3
    found = []
    for part in (wave[:third], wave[-third:]):
        spectrum = abs(np.fft.rfft(part * np.hanning(len(part))))
        found.append(spectrum.argmax() * RATE / len(part))
    return found


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("steady", 0.95, 1.05),
        ("rising", 1.15, 2.3),
        ("falling", 1 / 2.3, 1 / 1.15),
        ("low then high", 1.4, 2.4),
        ("high then low", 1 / 2.4, 1 / 1.4),
    ],
)
def test_pitch_moves_as_the_class_says(name, lowest, highest, rng):
    ratios = []
    for _ in range(9):
        first, last = pitches(make_sound(rng, CLASS_NAMES.index(name), 16000))
        ratios.append(last / first)
    assert lowest < np.median(ratios) < highest


def test_noise_is_quiet_and_clicks_pause(rng):
    noise = make_sound(rng, CLASS_NAMES.index("noise"), 16000).astype(float) - SILENCE
    assert abs(noise).max() < 30
    clicks = make_sound(rng, CLASS_NAMES.index("clicks"), 16000).astype(float) - SILENCE
    steady = make_sound(rng, CLASS_NAMES.index("steady"), 16000).astype(float) - SILENCE
    share = [(abs(wave) > abs(wave).max() / 4).mean() for wave in (clicks, steady)]
    assert share[0] < share[1] / 2


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 2, 16000), (1, 1, 7999)])
def test_models_of_other_inputs_are_refused(shape):
    with pytest.raises(DataError, match=r"^tones: sounds have one channel, one row and 8,000 "):
        load_dataset("tones", shape)
