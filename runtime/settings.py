# SPDX-License-Identifier: Apache-2.0
"""What the user asks of a run: names, sizes and options, and the compiler's part of them."""

from dataclasses import dataclass
from pathlib import Path

from stemcore.compiler.lowering.integrate import model_of_mode
from stemcore.compiler.quantization.layer_bits import DEFAULT_BITS, LayerBits
from stemcore.compiler.sparsity.tables import NONE, read_tables
from stemcore.compiler.stages import AnySizes, Options
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.presets import DEFAULT_PRESET, get_preset
from stemcore.models.data import (
    resolve_dataset,
)
from stemcore.models.data.files import shown
from stemcore.models.data.identity import path_name
from stemcore.models.registry import MODELS, get_model

from .own_model import is_own_model

DEFAULT_DATASET = "digits"
ALL_BUFFERS, NO_BUFFERS = "all", "none"
SKIP_BUFFERS = {"": None, ALL_BUFFERS: True, NO_BUFFERS: False}


@dataclass(frozen=True)
class Settings:
    """What the user asked for. An empty data set is the model's default, an empty integration
    mode (one of ``stemcore.compiler.lowering.integrate.modes()``) the preset's, an empty input what
    the model states (:mod:`stemcore.runtime.input_choice`). Empty outputs are classes where there
    is one for each class of the data set
    (:mod:`stemcore.compiler.quantization.outputs`); an empty calibration is the profile's method
    (:mod:`stemcore.compiler.quantization.calibration`); empty skip buffers are ``all``, or ``none``
    where the network fits without them alone (:mod:`stemcore.compiler.trial`).

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
    bits: LayerBits = DEFAULT_BITS
    weight_bits: LayerBits = DEFAULT_BITS
    calibration: str = ""
    tables: str = NONE
    integration: str | None = None
    checkpoint: Path | None = None
    own_data: bool = False
    input: str = ""
    outputs: str = ""
    skip_buffers: str = ""

    def __post_init__(self) -> None:
        spec = MODELS.get(self.model)
        text = self.dataset or (spec.default_dataset if spec else DEFAULT_DATASET)
        dataset, data = resolve_dataset(text, self.data)
        is_path = dataset != text
        object.__setattr__(self, "own_data", data is not None and (is_path or self.own_data))
        object.__setattr__(self, "dataset", dataset)
        object.__setattr__(self, "data", data)

    @property
    def data_name(self) -> str:
        """Of the data set, for files: the known name, or one that no other path has."""
        return path_name(self.data) if self.own_data and self.data else self.dataset

    @property
    def data_shown(self) -> str:
        """Of the data set, for people and command lines: the known name, or the path."""
        return shown(self.data) if self.own_data else self.dataset


def default_preset(model: str) -> str:
    """Chip that a model runs on where none is named."""
    return DEFAULT_PRESET if is_own_model(model) else get_model(model).preset


def preset_name(settings: Settings) -> str:
    """The preset that was asked for, or the model's own."""
    return settings.preset or default_preset(settings.model)


def chip_params(settings: Settings, preset: str | None = None) -> ChipParams:
    """The sizes of a chip, by default the one that was asked for, with the integration mode that
    was."""
    params = get_preset(preset or preset_name(settings))
    if settings.integration is None:
        return params
    return params.with_integration(model_of_mode(settings.integration))


def compile_options(settings: Settings, input_shape: AnySizes) -> Options:
    """The settings as far as they are the compiler's."""
    path = settings.model.rpartition(":")[0] or settings.model  # of file.py:function the file
    return Options(
        name=Path(path).stem if is_own_model(settings.model) else settings.model,
        input_shape=input_shape,
        params=chip_params(settings),
        profile=settings.profile,
        bits=settings.bits,
        weight_bits=settings.weight_bits,
        bias=settings.bias,
        calibration_method=settings.calibration or None,
        tables=read_tables(settings.tables),
        integration=settings.integration,
        mesh=settings.mesh,
        cores=settings.cores,
        with_skip_buffers=SKIP_BUFFERS[settings.skip_buffers],
    )
