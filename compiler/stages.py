# SPDX-License-Identifier: Apache-2.0
"""The work of every stage of the pipeline, and the check that follows it.

The parameters of a stage's function are what it reads, by name: results of stages before it (those
win where names meet), inputs (:class:`Inputs`), options (:class:`Options`). There is no other
declaration, and a function is given nothing else; so what a saved result depends on is known
exactly (:mod:`stemcore.compiler.saved`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.arithmetic.activation_tables import apply
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.layers import check_layer
from stemcore.golden.network.network import INPUT, Network
from stemcore.golden.network.results import check_results
from stemcore.golden.program.program import Program
from stemcore.golden.spec.params import DEFAULT_MODEL, ChipParams

from .activity import spike_maps
from .assembly.assemble import assemble
from .assembly.fit import MappedNetwork, check_mapped, fit_to_mesh
from .errors import CompileError, QuantizeError
from .estimation.pacing import set_gaps
from .frontend.compatibility import check_compatible
from .frontend.graph import Graph, check_graph
from .frontend.ops.convolution import Conv
from .frontend.ops.dense import Linear
from .frontend.ops.transposed_convolution import TransposedConv
from .frontend.translate import operators
from .frontends.registry import read_model
from .input_map import SIGNED, InputMap
from .lowering import integrate as integration_modes
from .lowering.lower import lower
from .lowering.ranges import RangeReport, potentials_fit, prove_ranges
from .lowering.skip_buffers import buffer_skips, check_choice, last_stage, stages
from .mapping.split import split_layers
from .quantization.calibration import parse_method
from .quantization.given_choices import is_quantized, refuse_choices
from .quantization.layer_bits import LayerBits, check_layer_bits, most_bits
from .quantization.quantized import EXACT, IntArray, QuantizedNetwork
from .sparsity.tables import NONE, Entry, find_tables, with_tables

# At most so many images, and fewer where they would cost more multiply-accumulates in all.
CALIBRATION_IMAGES, CALIBRATION_MACS = 512, 250e9
ACTIVITY_IMAGES, ACTIVITY_MACS = 32, 60e9
INTEGRATION_IMAGES = 128

Images = NDArray[np.integer]
AnySizes = tuple[int, ...] | tuple[tuple[int, ...], ...] | dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Options:
    """What the user decides.

    Attributes
    ----------
    name : str
        Of the network, for messages and reports.
    input_shape : (C, H, W), (C, L) or (F,), optional
        Where the model does not know it; of several inputs a tuple of these, or by name.
    params : ChipParams
        Of the cores; with the integration that is wanted.
    profile, bits, weight_bits, bias, calibration_method
        As for :func:`stemcore.compiler.quantization.quantize.quantize`.
    tables : str or mapping
        As for :func:`stemcore.compiler.sparsity.tables.find_tables`.
    integration : str, optional
        One of :func:`stemcore.compiler.lowering.integrate.modes`. Default: that of ``params``.
    mesh : (columns, rows), optional
    cores : int, optional
        To use at most.
    input_map : InputMap
        What the integers of calibration, and bytes of images, mean to the network.
    part_maps : tuple of InputMap
        The same for each of several inputs (:mod:`stemcore.compiler.input_parts`); ``input_map`` is
        then that of all of them in one array.
    outputs : str, optional
        As for :func:`stemcore.compiler.quantization.quantize.quantize`.
    with_skip_buffers : bool, optional
        Whether connections that skip stages pass skip buffers
        (:mod:`stemcore.compiler.lowering.skip_buffers`). Default: they do;
        :func:`stemcore.compiler.trial.find_fit` may decide otherwise.
    """

    name: str = "network"
    input_shape: AnySizes | None = None
    params: ChipParams = field(default_factory=ChipParams)
    profile: str = EXACT
    bits: int | Mapping[str, int] = 8
    weight_bits: int | Mapping[str, int] = 8
    bias: str | None = None
    calibration_method: str | None = None
    tables: str | Mapping[str, Entry] = NONE
    integration: str | None = None
    mesh: tuple[int, int] | None = None
    cores: int | None = None
    input_map: InputMap = SIGNED
    outputs: str | None = None
    part_maps: tuple[InputMap, ...] = ()
    with_skip_buffers: bool | None = None


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the user brings.

    Attributes
    ----------
    module : object
        Anything that has a frontend; None where a saved graph takes its place.
    calibration : integers (N, C, H, W)
        Images as the hardware gets them; the first of them are used, as many as the network's size
        allows and ``CALIBRATION_IMAGES`` at most.
    activity_images : integers (N, C, H, W), optional
        Images whose spikes say where work falls; default: those of calibration.
    """

    module: object = None
    calibration: Images | None = None
    activity_images: Images | None = None


@dataclass(frozen=True)
class Workload:
    """Multiply-accumulates of one image in convolutions and dense layers, padding included."""

    n_macs: int


def affordable(most: int, budget: float, n_macs: int, least: int) -> int:
    """How many images, at most ``most`` and at least ``least``, the budget of work allows."""
    return max(least, min(most, int(budget / max(n_macs, 1))))


def calibration_count(n_macs: int) -> int:
    """How many images set the scales of a network with so many multiply-accumulates, at most."""
    return affordable(CALIBRATION_IMAGES, CALIBRATION_MACS, n_macs, 16)


# Float ------------------------------------------------------------------------------------------
def run_capture(module: object, input_shape: AnySizes | None, name: str) -> Graph:
    """The float graph of the model; its own function checks it."""
    if module is None:
        raise CompileError("capture", "must have a model, got none", "pass a module")
    return read_model(module, input_shape, name)


def run_check(
    capture: Graph,
    profile: str,
    bits: LayerBits,
    weight_bits: LayerBits,
    bias: str | None,
    calibration_method: str | None,
) -> Workload:
    """Refuses what has no spiking form, before anything is calibrated."""
    parse_method(calibration_method, profile)
    check_compatible(capture)
    if is_quantized(capture):
        refuse_choices(profile, bits, weight_bits, None, bias, calibration_method)
    check_layer_bits(capture, bits, weight_bits)
    return Workload(count_macs(capture))


def count_macs(graph: Graph) -> int:
    """Multiply-accumulates of one image in convolutions and dense layers, padding included."""
    total = 0
    for node in graph.nodes:
        if isinstance(node.op, Conv | Linear):
            total += node.op.weight.size * node.shape[1] * node.shape[2]
        elif isinstance(node.op, TransposedConv):
            _, height, width = graph.shape_of(node.inputs[0])
            total += node.op.weight.size * height * width
    return total


# Integers ---------------------------------------------------------------------------------------
def run_quantize(
    capture: Graph,
    check: Workload,
    calibration: Images | None,
    profile: str,
    bits: LayerBits,
    weight_bits: LayerBits,
    bias: str | None,
    calibration_method: str | None,
    input_map: InputMap,
    outputs: str | None,
) -> QuantizedNetwork:
    """Integer weights, biases and scales from calibration images."""
    from .quantization.quantize import quantize  # torch: only who quantizes waits for it

    if calibration is None:
        raise QuantizeError("calibration", "must have images, got none", "pass calibration=")
    n = calibration_count(check.n_macs)
    input_map.check_channels(capture.input_shape[0])
    return quantize(
        capture,
        calibration[:n],
        profile=profile,
        bits=bits,
        weight_bits=weight_bits,
        bias=bias,
        calibration_method=calibration_method,
        input_scale=input_map.scale,
        input_signed=input_map.is_signed,
        input_factors=input_map.factors,
        outputs=outputs,
    ).network


def run_tables(
    quantize: QuantizedNetwork, tables: str | Mapping[str, Entry]
) -> dict[str, IntArray]:
    """The activation table of every layer that has one, and of the input (``INPUT``), which
    whoever fires the input applies."""
    return find_tables(quantize, tables)


def run_lower(quantize: QuantizedNetwork, tables: dict[str, IntArray]) -> Network:
    """The integer network, in the layers of the model, with exact integration."""
    return lower(with_tables(quantize, tables))


def run_split(lower: Network, params: ChipParams) -> Network:
    """Fan-ins that exceed a core's memories become sums of parts."""
    return split_layers(lower, params)


def run_skip_buffers(split: Network, with_skip_buffers: bool | None) -> Network:
    """Every connection goes from one stage of the chip's pipeline to the next.

    Nothing changes where the network is to run without skip buffers.
    """
    return split if with_skip_buffers is False else buffer_skips(split)


def run_prove(lower: Network, params: ChipParams) -> RangeReport:
    """Bounds of all potentials, for exact integration."""
    return prove_ranges(lower, exact_width(params))


def exact_width(params: ChipParams) -> int:
    """Bits of potentials with exact integration, on these cores or their likes."""
    return params.with_integration(DEFAULT_MODEL).acc_width


def run_integrate(
    skip_buffers: Network,
    check: Workload,
    tables: dict[str, IntArray],
    calibration: Images | None,
    params: ChipParams,
    integration: str | None,
    bits: LayerBits,
) -> Network:
    """What the cores run: with the constants of their neuron model."""
    mode = integration or params.integration
    if not integration_modes.needs_images(mode):
        calibration = np.zeros((0, *skip_buffers.input.shape), np.int64)
    if calibration is None:
        raise CompileError("integrate", "must have calibration images, got none")
    n = affordable(INTEGRATION_IMAGES, CALIBRATION_MACS, most_bits(bits) * check.n_macs, 4)
    return integration_modes.integrate(
        skip_buffers,
        mode,
        _through_table(calibration[:n], tables),
        multipliers=params.multipliers,
    )


def _through_table(images: Images, tables: Mapping[str, IntArray]) -> Images:
    return apply(tables[INPUT], images.astype(np.int64)) if INPUT in tables else images


# Cores ------------------------------------------------------------------------------------------
def run_activity(
    integrate: Network,
    check: Workload,
    tables: dict[str, IntArray],
    calibration: Images | None,
    activity_images: Images | None,
    params: ChipParams,
) -> dict[str, NDArray[np.float64]]:
    """Mean spikes of every neuron, input included, in one image."""
    images = calibration if activity_images is None else activity_images
    if images is None:
        raise CompileError("activity", "must have calibration images, got none")
    n = affordable(ACTIVITY_IMAGES, ACTIVITY_MACS, check.n_macs, 2)
    values = run_network(integrate, _through_table(images[:n], tables), acc_width=params.acc_width)
    return {
        name: count_spikes(array, integrate.population(name).bits).mean(axis=0)
        for name, array in values.items()
    }


def run_map(
    integrate: Network,
    activity: Mapping[str, NDArray[np.float64]],
    params: ChipParams,
    mesh: tuple[int, int] | None,
    cores: int | None,
) -> MappedNetwork:
    """Tiles of the layers, and a node of the mesh for each."""
    return fit_to_mesh(integrate, params, mesh=mesh, cores=cores, activity=activity)


def run_assemble(
    integrate: Network,
    activity: Mapping[str, NDArray[np.float64]],
    map: MappedNetwork,
    params: ChipParams,
) -> Program:
    """Memory images of all cores, and gaps between spikes for what is expected of them."""
    program = assemble(
        integrate,
        params,
        map.partition.tiles,
        map.placement,
        overflow_proved=potentials_fit(integrate, params),
    )
    return set_gaps(program, activity)


# Checks -----------------------------------------------------------------------------------------
def check_nothing(result: object) -> None:
    """For stages whose own work ends with the check."""


def check_capture(result: Graph) -> None:
    """Operands come before their use, names are different, operators are known."""
    check_graph(result)
    known = operators()
    for node in result.nodes:
        if type(node.op) not in known:
            raise ValueError(f"{node.name}: {type(node.op).__name__} is no operator of a graph")


def check_network(result: Network) -> None:
    """Every layer fits its sources, which come before it; names are different."""
    known = {INPUT}
    for layer in result.layers:
        for connection in layer.connections:
            if connection.source not in known:
                raise ValueError(f"{layer.name}: {connection.source!r} must come before it")
        if layer.name in known:
            raise ValueError(f"{layer.name}: must be the only layer of that name")
        check_layer(layer, result)
        known.add(layer.name)
    if not result.layers:
        raise ValueError(f"{result.name}: must have a layer, has none")
    check_results(result.results, {layer.name: layer for layer in result.layers})


def check_buffered(result: Network, with_skip_buffers: bool | None) -> None:
    """No connection skips a stage of the chip's pipeline, where skip buffers are wanted."""
    check_network(result)
    if with_skip_buffers is False:
        return
    stage = stages(result)
    for layer in result.layers:
        for connection in layer.connections:
            if stage[layer.name] - stage[connection.source] != 1:
                raise ValueError(f"{layer.name}: reads {connection.source}, several stages back")
    for name in result.output_layers:
        if stage[name] != last_stage(result):
            raise ValueError(f"{name}: the host receives it stages before other outputs")


def check_integrated(result: Network, params: ChipParams, with_skip_buffers: bool | None) -> None:
    """Every layer is integrated as the cores do it."""
    check_choice(with_skip_buffers, params)
    check_buffered(result, with_skip_buffers)
    integration_modes.check_integrations(result, params)


def check_activity(result: Mapping[str, NDArray[np.float64]], integrate: Network) -> None:
    """Spikes of every neuron of every population, finite and not negative."""
    spike_maps(integrate, result)


def check_map(result: MappedNetwork, integrate: Network, params: ChipParams) -> None:
    """:func:`stemcore.compiler.assembly.fit.check_mapped`."""
    check_mapped(integrate, params, result)
