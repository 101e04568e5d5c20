# SPDX-License-Identifier: Apache-2.0
"""Skip buffers: identity layers on connections that skip stages of the pipeline.

A layer that reads a population several stages back would keep that population from firing the next
image until the layer's other sources have arrived, so that the stages between would work by turns.
Where tokens are exchanged per time step the pipeline would even come to a standstill
(hdl/README.md). A skip buffer is a layer of identity synapses that holds a copy for one stage: it
fires what it reads one image, or one time step, later.

Where tokens are exchanged per sample, a network computes the same without skip buffers, on fewer
cores and with a longer interval between images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population
from stemcore.golden.spec.neuron_model import TokenPeriod
from stemcore.golden.spec.params import ChipParams

from ..errors import CompileError

SKIP_BUFFER = ".skip_buffer"  # in a name, between that of the layer before and a number


def skip_buffer_name(source: str, n: int) -> str:
    """Name of the ``n``-th skip buffer behind a population, counted from 1."""
    return f"{source}{SKIP_BUFFER}{n}"


Reads = Mapping[str, Sequence[str]]  # populations that each layer reads, in the layers' order


def may_leave_out(params: ChipParams) -> bool:
    """Whether cores of these sizes run networks without skip buffers to their end."""
    return params.model.token_period is not TokenPeriod.TIME_STEP


def check_choice(skip_buffers: bool | None, params: ChipParams) -> None:
    """Raises ``CompileError`` for ``skip_buffers`` False where a pipeline would stand still."""
    if skip_buffers is False and not may_leave_out(params):
        raise CompileError(
            "skip_buffers",
            f"must be all with integration {params.integration}, whose tokens are exchanged at "
            "every time step; none came",
            "leave the option out, or integrate exactly",
        )


def stages(network: Network) -> dict[str, int]:
    """Longest path from the input to every population, in layers."""
    return _stages(_reads(network))


def last_stage(network: Network) -> int:
    """Stage of the layers that the host receives without delay."""
    stage = stages(network)
    return max(stage[name] for name in network.output_layers)


def buffers_needed(reads: Reads, outputs: Sequence[str]) -> dict[str, int]:
    """How many skip buffers every population (``INPUT`` is one) needs behind it.

    ``outputs``: layers that the host receives.
    """
    stage = _stages(reads)
    needed = dict.fromkeys(stage, 0)
    for name, sources in reads.items():
        for source in sources:
            needed[source] = max(needed[source], stage[name] - stage[source] - 1)
    behind = max(stage[name] for name in outputs)
    for name in outputs:
        needed[name] = max(needed[name], behind - stage[name])
    return needed


def skips_stages(network: Network) -> bool:
    """Whether a connection skips a stage, or the host receives an output of an earlier one."""
    return any(buffers_needed(_reads(network), network.output_layers).values())


def _reads(network: Network) -> Reads:
    return {layer.name: [c.source for c in layer.connections] for layer in network.layers}


def _stages(reads: Reads) -> dict[str, int]:
    stage = {INPUT: 0}
    for name, sources in reads.items():
        stage[name] = 1 + max(stage[source] for source in sources)
    return stage


def buffer_skips(network: Network) -> Network:
    """The network with skip buffers, so that every connection leads from one stage to the next.

    The host is the stage behind the last one, which all outputs lead to: it grants their layers the
    next image when it has the last spike of all. Of an output that is computed earlier the host
    receives the last skip buffer.

    Values of the network's own layers do not change. Skip buffers are called
    :func:`skip_buffer_name`, and are shared by all layers that read the same population.
    """
    stage = stages(network)
    needed = buffers_needed(_reads(network), network.output_layers)
    behind = last_stage(network)
    if not any(needed.values()):
        return network

    layers, scales = [], dict(network.scales)

    def add_skip_buffers(population: Population, name: str) -> None:
        for n in range(1, needed[name] + 1):
            layers.append(
                _skip_buffer(population, name if n == 1 else skip_buffer_name(name, n - 1), name, n)
            )
            if name in scales:
                scales[skip_buffer_name(name, n)] = scales[name]

    add_skip_buffers(network.input, INPUT)
    for layer in network.layers:
        connections = []
        for connection in layer.connections:
            skipped = stage[layer.name] - stage[connection.source] - 1
            source = skip_buffer_name(connection.source, skipped) if skipped else connection.source
            connections.append(replace(connection, source=source))
        layers.append(replace(layer, connections=tuple(connections)))
        add_skip_buffers(layer.population, layer.name)

    def received(name: str) -> str:
        skipped = behind - stage[name]
        return skip_buffer_name(name, skipped) if skipped else name

    results = network.results.with_sources(received)
    return replace(network, layers=tuple(layers), scales=scales, results=results)


def _skip_buffer(population: Population, source: str, name: str, n: int) -> Layer:
    channels = population.shape[0]
    zeros, ones = np.zeros(channels, np.int64), np.ones(channels, np.int64)
    identity = Connection(source, np.ones((channels, 1, 1, 1), np.int8), groups=channels)
    return Layer(
        skip_buffer_name(name, n),
        population.shape,
        (identity,),
        bias=zeros,
        multiplier=ones,
        shift=zeros,
        bits=population.bits,
        is_signed=population.is_signed,
    )
