# SPDX-License-Identifier: Apache-2.0
"""Networks that are too large for a core, and the preset whose cores are that small."""

import numpy as np

from stemcore.golden.spec.presets import get_preset
from tests.support.random_networks import random_network

# Kernels of a layer of the random networks below have more words than this.
NARROW = get_preset("tiny").with_(
    n_weight_words=100, shift_width=5, n_axons=24, c_width=8, n_table_c=256, coord_width=4
)

SPLIT_SEEDS = (5, 9, 24, 38, 47)


def splitting_network(seed):
    """A generator and a random network, of which preset NARROW has to split a layer."""
    rng = np.random.default_rng((8, seed))
    return rng, random_network(rng, n_layers=3, max_channels=20)
