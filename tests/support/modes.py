# SPDX-License-Identifier: Apache-2.0
"""Integration modes, for tests that go through them."""

from stemcore.compiler.lowering.integrate import modes
from stemcore.golden.spec.neuron_model import TokenPeriod
from stemcore.golden.spec.neurons import MODELS

STEP_MODES = [
    mode for mode, name in modes().items() if MODELS[name].token_period is TokenPeriod.TIME_STEP
]
