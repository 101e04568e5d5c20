# SPDX-License-Identifier: Apache-2.0
"""From names to a program: model, data, weights, quantization, compilation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from compiler.backend import compile_network
from compiler.capture import capture
from compiler.compatibility import check_compatible
from compiler.lower import lower
from compiler.quantize import QuantizedModel, quantize
from compiler.ranges import RangeReport, prove_ranges
from compiler.sparsify import NONE, find_tables, read_tables, with_tables
from golden.forward import run_network
from golden.network import INPUT, Network
from golden.params import ChipParams, get_preset
from golden.program import Program
from golden.stem import count_spikes
from golden.tables import apply
from models.checkpoint import checkpoint_path, load_into
from models.data import check_dataset, load_dataset
from models.data.dataset import Dataset
from models.data.preprocess import to_float_input, to_integer_input
from models.registry import get_model
from models.user_model import is_user_model, load_user_model

CALIBRATION_IMAGES = 512
ACTIVITY_IMAGES = 32
DEFAULT_DATASET = "digits"


@dataclass(frozen=True)
class Settings:
    """What the user asked for."""

    model: str
    dataset: str = DEFAULT_DATASET
    data: Path | None = None
    preset: str = "sim32"
    cores: int | None = None
    mesh: tuple[int, int] | None = None
    profile: str = "exact"
    bias: str | None = None
    bits: int = 8
    tables: str = NONE
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """Everything up to the memory images, each stage checked.

    ``integers`` are the test images on the input's integer scale (N, C, H, W), through the input's
    activation table if there is one: the host fires what it gets.
    """

    settings: Settings
    dataset: Dataset
    module: torch.nn.Module
    quantized: QuantizedModel
    network: Network
    ranges: RangeReport
    integers: NDArray[np.int64]
    params: ChipParams
    activity: dict[str, NDArray[np.float64]]


def model_name(settings: Settings) -> str:
    """A name for files: the registered one, or that of the user's function or archive."""
    if not is_user_model(settings.model):
        return settings.model
    return Path(settings.model).stem.rpartition(":")[2]


def load_model(settings: Settings) -> tuple[torch.nn.Module, tuple[int, int, int]]:
    """The float model with its weights, and its input shape (C, H, W)."""
    if not is_user_model(settings.model):
        spec = get_model(settings.model)
        module = spec.build()
        path = settings.checkpoint or checkpoint_path(settings.model, settings.dataset)
        load_into(module, path, model=settings.model)
        return module.eval(), spec.input_shape
    loaded = load_user_model(settings.model)
    if settings.checkpoint is not None:
        load_into(loaded.module, settings.checkpoint)
    return loaded.module, loaded.input_shape


def prepare(settings: Settings) -> Prepared:
    """Runs every stage of the compiler up to the lowered network.

    The compatibility check speaks before data are read or anything is calibrated.
    """
    params = get_preset(settings.preset)
    check_dataset(settings.dataset)
    wanted_tables = read_tables(settings.tables)
    module, input_shape = load_model(settings)
    graph = capture(module, input_shape)
    check_compatible(graph, bits=settings.bits)
    dataset = load_dataset(settings.dataset, input_shape, settings.data)
    calibration = to_integer_input(dataset.train_images[:CALIBRATION_IMAGES])
    quantized = quantize(
        graph, calibration, profile=settings.profile, bits=settings.bits, bias=settings.bias
    )
    integers = to_integer_input(dataset.test_images).astype(np.int64)
    tables = find_tables(quantized.network, wanted_tables)
    if tables:
        quantized = QuantizedModel(with_tables(quantized.network, tables))
    if INPUT in tables:
        calibration, integers = apply(tables[INPUT], calibration), apply(tables[INPUT], integers)
    network = lower(quantized)
    ranges = prove_ranges(network, params.acc_width)
    values = run_network(network, calibration[:ACTIVITY_IMAGES], acc_width=params.acc_width)
    activity = {
        name: count_spikes(array, network.population(name).bits).mean(axis=0)
        for name, array in values.items()
    }
    return Prepared(
        settings=settings,
        dataset=dataset,
        module=module,
        quantized=quantized,
        network=network,
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


def float_accuracy(prepared: Prepared, n_images: int, batch: int = 250) -> float:
    """Share of the first ``n_images`` test images that the float model gets right."""
    images = prepared.dataset.test_images[:n_images]
    labels = prepared.dataset.test_labels[:n_images]
    right = 0
    with torch.no_grad():
        for start in range(0, len(images), batch):
            inputs = to_float_input(images[start : start + batch])
            scores = prepared.module(inputs).flatten(1).argmax(dim=1).numpy()
            right += int((scores == labels[start : start + batch]).sum())
    return right / len(images)


def predictions(outputs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Class with the largest output; the first of equals."""
    return outputs.reshape(len(outputs), -1).argmax(axis=1)

