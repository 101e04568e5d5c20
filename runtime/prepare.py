# SPDX-License-Identifier: Apache-2.0
"""From names to a program: model, data, weights, quantization, compilation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stemcore.compiler.backend import compile_network
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.compatibility import check_compatible
from stemcore.compiler.frontend.graph import Graph
from stemcore.compiler.frontend.ops.convolution import Conv
from stemcore.compiler.frontend.ops.dense import Linear
from stemcore.compiler.lowering.integrate import integrate
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.lowering.ranges import RangeReport, prove_ranges
from stemcore.compiler.lowering.skip_buffers import buffer_skips
from stemcore.compiler.mapping.split import split_layers
from stemcore.compiler.quantization.quantize import QuantizedModel, quantize
from stemcore.compiler.sparsity.tables import NONE, find_tables, read_tables, with_tables
from stemcore.golden.arithmetic.activation_tables import apply
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT, Network
from stemcore.golden.program.program import Program
from stemcore.golden.spec.params import ChipParams, get_preset
from stemcore.models.checkpoint import find_checkpoint, load_into
from stemcore.models.data import (
    DATASETS,
    DETECTION,
    BoxDataset,
    Dataset,
    load_class_names,
    load_dataset,
    resolve_dataset,
)
from stemcore.models.data.preprocess import to_integer_input
from stemcore.models.errors import ModelError
from stemcore.models.random_weights import NAME as RANDOM
from stemcore.models.random_weights import calibrate_random
from stemcore.models.registry import MODELS, get_model
from stemcore.models.user_model import is_user_model, load_user_model
from stemcore.models.yolo import n_outputs

from .report.accuracy import float_outputs, measure
from .report.stopwatch import Stopwatch

# At most so many images, and fewer where they would cost more multiply-accumulates in all.
CALIBRATION_IMAGES, CALIBRATION_MACS = 512, 250e9
ACTIVITY_IMAGES, ACTIVITY_MACS = 32, 60e9
INTEGRATION_IMAGES = 128
RANDOM_IMAGES = 32
DEFAULT_DATASET = "digits"
DEFAULT_PRESET = "sim32"
DEFAULT_BITS = 8
TRAINED = "trained"
OWN = "the model's own"


@dataclass(frozen=True)
class Settings:
    """What the user asked for. An empty data set is the model's default, an empty form of
    integration (``exact``, or one of ``stemcore.compiler.lowering.integrate.MODES``) the preset's.

    The path of a data set becomes the name of its layout, and ``data``; ``own_data`` remembers that
    it is a set of the user's own, not a place where a known one lies.
    """

    model: str
    dataset: str = ""
    data: Path | None = None
    preset: str | None = None
    cores: int | None = None
    mesh: tuple[int, int] | None = None
    profile: str = "exact"
    bias: str | None = None
    bits: int = DEFAULT_BITS
    tables: str = NONE
    integration: str | None = None
    checkpoint: Path | None = None
    own_data: bool = False

    def __post_init__(self) -> None:
        spec = MODELS.get(self.model)
        text = self.dataset or (spec.default_dataset if spec else DEFAULT_DATASET)
        dataset, data = resolve_dataset(text, self.data)
        is_path = dataset != text
        object.__setattr__(self, "own_data", data is not None and (is_path or self.own_data))
        object.__setattr__(self, "dataset", dataset)
        object.__setattr__(self, "data", data)


@dataclass(frozen=True)
class Prepared:
    """Everything up to the memory images, each stage checked.

    ``weights`` says where they come from; ``n_macs`` counts one image's multiply-accumulates;
    ``n_calibration`` training images set the scales.
    ``integers`` are the test images on the input's integer scale (N, C, H, W), through the input's
    activation table if there is one: the host fires what it gets. ``exact`` are the layers of the
    torch model, with exact integration; ``network`` is what the cores run, in their form of
    integration, wide fan-ins split; ``exact_width`` bits hold the potentials.
    """

    settings: Settings
    dataset: Dataset | BoxDataset
    module: torch.nn.Module
    weights: str
    n_macs: int
    n_calibration: int
    quantized: QuantizedModel
    network: Network
    exact: Network
    exact_width: int
    ranges: RangeReport
    integers: NDArray[np.int64]
    params: ChipParams
    activity: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class LoadedModel:
    """A float model in evaluation mode, its input (C, H, W), and where its weights come from."""

    module: torch.nn.Module
    input_shape: tuple[int, int, int]
    weights: str


def load_model(settings: Settings) -> LoadedModel:
    """The float model with its weights.

    A registered model that nobody trained on the data set gets random weights at the scale of the
    data, see :func:`stemcore.models.random_weights.calibrate_random`, and says so.
    """
    if is_user_model(settings.model):
        return _load_users_model(settings)
    spec = get_model(settings.model)
    spec.check_compiles()
    spec.check_task(settings.dataset)
    path = settings.checkpoint or find_checkpoint(settings.model, settings.dataset)
    n_classes = len(load_class_names(settings.dataset, settings.data))
    module = spec.build(n_classes=n_classes)
    if path is not None:
        load_into(module, path, model=settings.model)
        return LoadedModel(module.eval(), spec.input_shape, TRAINED)
    data = load_dataset(
        settings.dataset, spec.input_shape, settings.data, n_train=RANDOM_IMAGES, n_test=0
    )
    calibrate_random(module, data.train_images)
    return LoadedModel(module, spec.input_shape, RANDOM)


def _load_users_model(settings: Settings) -> LoadedModel:
    loaded = load_user_model(settings.model)
    if DATASETS[settings.dataset].task == DETECTION:
        n_values = n_outputs(len(load_class_names(settings.dataset, settings.data)))
        if len(loaded.output_shape) != 3 or loaded.output_shape[0] != n_values:
            raise ModelError(
                f"{settings.model}: on {settings.dataset} the output must have the shape "
                f"({n_values}, rows, columns) of models/yolo.py; {loaded.output_shape} came; "
                "choose another data set or change the model's last layer"
            )
    if settings.checkpoint is not None:
        load_into(loaded.module, settings.checkpoint)
    return LoadedModel(loaded.module, loaded.input_shape, TRAINED if settings.checkpoint else OWN)


def count_graph_macs(graph: Graph) -> int:
    """Multiply-accumulates of one image in convolutions and dense layers, padding included."""
    return sum(
        node.op.weight.size * node.shape[1] * node.shape[2]
        for node in graph.nodes
        if isinstance(node.op, Conv | Linear)
    )


def affordable(most: int, budget: float, n_macs: int, least: int) -> int:
    """How many images, at most ``most`` and at least ``least``, the budget of work allows."""
    return max(least, min(most, int(budget / max(n_macs, 1))))


def default_preset(model: str) -> str:
    """Chip that a model runs on where none is named."""
    return DEFAULT_PRESET if is_user_model(model) else get_model(model).preset


def preset_name(settings: Settings) -> str:
    """The preset that was asked for, or the model's own."""
    return settings.preset or default_preset(settings.model)


def chip_params(settings: Settings) -> ChipParams:
    """The sizes of the chip, with the integration mode that was asked for."""
    params = get_preset(preset_name(settings))
    if settings.integration is None:
        return params
    return params.with_integration(settings.integration.removesuffix("_shift"))


def prepare(
    settings: Settings,
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    watch: Stopwatch | None = None,
) -> Prepared:
    """Runs every stage of the compiler up to the lowered network.

    The compatibility check speaks before anything is calibrated.

    n_train, n_test : images of each split to load; None loads all.
    watch : times the stages load, capture, quantize and lower
    """
    watch = watch or Stopwatch()
    params = chip_params(settings)
    wanted_tables = read_tables(settings.tables)
    with watch("load"):
        loaded = load_model(settings)
    with watch("capture"):
        graph = capture(loaded.module, loaded.input_shape)
        check_compatible(graph, bits=settings.bits)
    with watch("load"):
        dataset = load_dataset(settings.dataset, loaded.input_shape, settings.data, n_train, n_test)
    n_macs = count_graph_macs(graph)
    n_calibration = affordable(CALIBRATION_IMAGES, CALIBRATION_MACS, n_macs, 16)
    calibration = to_integer_input(dataset.train_images[:n_calibration])
    with watch("quantize"):
        quantized = quantize(
            graph, calibration, profile=settings.profile, bits=settings.bits, bias=settings.bias
        )
    integers = to_integer_input(dataset.test_images).astype(np.int64)
    tables = find_tables(quantized.network, wanted_tables)
    if tables:
        quantized = QuantizedModel(with_tables(quantized.network, tables))
    if INPUT in tables:
        calibration, integers = apply(tables[INPUT], calibration), apply(tables[INPUT], integers)
    with watch("lower"):
        exact = lower(quantized)
        network = buffer_skips(split_layers(exact, params))
        exact_width = params.with_integration("exact").acc_width
        ranges = prove_ranges(exact, exact_width)
        if params.is_stepped:
            n_steps = affordable(INTEGRATION_IMAGES, CALIBRATION_MACS, settings.bits * n_macs, 4)
            network = integrate(
                network,
                settings.integration or params.integration,
                calibration[:n_steps],
                multipliers=params.multipliers,
            )
        n_activity = affordable(ACTIVITY_IMAGES, ACTIVITY_MACS, n_macs, 2)
        values = run_network(network, calibration[:n_activity], acc_width=params.acc_width)
        activity = {
            name: count_spikes(array, network.population(name).bits).mean(axis=0)
            for name, array in values.items()
        }
    return Prepared(
        settings=settings,
        dataset=dataset,
        module=loaded.module,
        weights=loaded.weights,
        n_macs=n_macs,
        n_calibration=len(calibration),
        quantized=quantized,
        network=network,
        exact=exact,
        exact_width=exact_width,
        ranges=ranges,
        integers=integers,
        params=params,
        activity=activity,
    )


def compile_program(prepared: Prepared) -> Program:
    """Places the network on a chip."""
    settings = prepared.settings
    columns, rows = settings.mesh or (None, None)
    return compile_network(
        prepared.network,
        prepared.params,
        columns=columns,
        rows=rows,
        cores=settings.cores,
        activity=prepared.activity,
    )


def torch_values(quantized: QuantizedModel, integers: NDArray[np.int64]) -> dict[str, NDArray]:
    """Integers of every population as the quantized torch model computes them."""
    with torch.no_grad():
        values = quantized(torch.from_numpy(np.ascontiguousarray(integers)))
    return {name: tensor.numpy().astype(np.int64) for name, tensor in values.items()}


def float_accuracy(prepared: Prepared, n_images: int) -> float:
    """Accuracy or mAP of the float model on the first ``n_images`` test images."""
    images = prepared.dataset.test_images[:n_images]
    return measure(prepared.dataset, float_outputs(prepared.module, images))
