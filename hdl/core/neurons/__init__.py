# SPDX-License-Identifier: Apache-2.0
"""The somas of the neuron models, a file each."""

from amaranth.lib import wiring

from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.registry import find_entries

from ..soma_signature import SomaKind, SomaSignature

SOMAS = find_entries(__name__, __path__, "SOMA", SomaKind)


def make_soma(params: ChipParams) -> wiring.Component:
    """The soma of the chip's neuron model.

    ``ValueError`` where the model has none, ``TypeError`` where its ports are not those of a soma.
    """
    if params.integration not in SOMAS:
        raise ValueError(
            f"ChipParams.integration: no soma for the neuron model {params.integration!r}; "
            f"there are {', '.join(SOMAS)}"
        )
    soma = SOMAS[params.integration].build(params)
    reasons: list[str] = []
    if not SomaSignature(params).is_compliant(soma, reasons=reasons):
        raise TypeError(
            f"{type(soma).__name__}: must have the ports of SomaSignature, "
            f"{'; '.join(reasons) or 'some differ'}"
        )
    return soma
