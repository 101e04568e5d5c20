# SPDX-License-Identifier: Apache-2.0
"""Exact integration: accumulators hold finished potentials."""

from ..potential_update import NoUpdate
from ..soma import Soma
from ..soma_signature import SomaKind

SOMA = SomaKind("exact", lambda params: Soma(params, update=NoUpdate))
