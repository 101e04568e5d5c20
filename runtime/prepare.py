# SPDX-License-Identifier: Apache-2.0
"""From names to what the compiler takes: a model with its weights, a data set, options."""

import glob
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stemcore.compiler.frontend.graph import Graph
from stemcore.compiler.input_map import InputMap
from stemcore.compiler.lowering.integrate import model_of_mode
from stemcore.compiler.lowering.ranges import RangeReport
from stemcore.compiler.pipeline import STAGES, Compilation, run_stages
from stemcore.compiler.quantization.outputs import CLASSES
from stemcore.compiler.quantization.quantized_model import QuantizedModel
from stemcore.compiler.saved import CompileFolder
from stemcore.compiler.sparsity.tables import NONE, read_tables
from stemcore.compiler.stages import CALIBRATION_IMAGES, Inputs, Options, calibration_count
from stemcore.compiler.trial import choose_preset, try_fit
from stemcore.golden.arithmetic.activation_tables import apply
from stemcore.golden.network.network import Network
from stemcore.golden.program.program import Program
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.presets import get_preset
from stemcore.models.checkpoint import find_checkpoint, load_into
from stemcore.models.data import (
    ARRAYS,
    DETECTION,
    SOURCES,
    BoxDataset,
    Dataset,
    load_class_names,
    load_dataset,
    resolve_dataset,
)
from stemcore.models.data.files import shown
from stemcore.models.data.identity import path_name
from stemcore.models.errors import ModelError
from stemcore.models.plain_weights import load_weights
from stemcore.models.random_weights import NAME as RANDOM
from stemcore.models.random_weights import calibrate_random
from stemcore.models.registry import MODELS, get_model
from stemcore.models.yolo import n_outputs

from .given_agreement import say_agreement
from .input_choice import AUTO_IMAGES, find_map, stated_map
from .own_model import GraphModule, is_own_model, load_own_model
from .report.accuracy import float_outputs, measure, predictions
from .report.schema import AGREEMENT
from .report.stopwatch import Stopwatch
from .toolchain.process import locked

RANDOM_IMAGES = 32
DEFAULT_DATASET = "digits"
DEFAULT_PRESET = "sim32"
DEFAULT_BITS = 8
TRAINED = "trained"
OWN = "the model's own"


@dataclass(frozen=True)
class Settings:
    """What the user asked for. An empty data set is the model's default, an empty integration
    mode (one of ``stemcore.compiler.lowering.integrate.modes()``) the preset's, an empty input what
    the model states (:mod:`stemcore.runtime.input_choice`). Empty outputs are classes where there
    is one for each class of the data set
    (:mod:`stemcore.compiler.quantization.outputs`).

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
    input: str = ""
    outputs: str = ""

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


@dataclass(frozen=True)
class Prepared:
    """A model and its data, and what the compiler made of them, up to the memory images.

    ``weights`` says where they come from; ``input_shape`` is the module's own. ``integers`` are the
    test images on the input's integer scale (N, C, H, W), through the input's activation table if
    there is one: the host fires what it gets. ``store`` is where the compiler's results are kept,
    if anywhere. ``preset`` is the chip that was asked for, or chosen.
    """

    settings: Settings
    dataset: Dataset | BoxDataset
    module: torch.nn.Module
    weights: str
    input_shape: tuple[int, ...]
    compilation: Compilation
    integers: NDArray[np.int64]
    store: CompileFolder | None
    say: Callable[[str], None]
    preset: str

    @property
    def n_macs(self) -> int:
        """Multiply-accumulates of one image."""
        return self.compilation.n_macs

    def float_outputs(self, n_images: int) -> NDArray[np.float32]:
        """Outputs of the float model on the first test images."""
        images = self.dataset.test_images[:n_images]
        module, shape = scoring(self.module, self.input_shape, self.compilation.graph)
        return float_outputs(module, images, self.input_map, shape)

    @property
    def n_calibration(self) -> int:
        """Training images that set the scales."""
        return min(calibration_count(self.n_macs), len(self.dataset.train_images))

    @property
    def quantized(self) -> QuantizedModel:
        """The quantized network in torch."""
        return self.compilation.quantized_model

    @property
    def network(self) -> Network:
        """What the cores run: in their integration mode, wide fan-ins split, skips buffered."""
        return self.compilation.network

    @property
    def exact(self) -> Network:
        """The layers of the torch model, with exact integration."""
        return self.compilation.exact

    @property
    def exact_width(self) -> int:
        """Bits that hold the potentials of :attr:`exact`."""
        return self.compilation.exact_width

    @property
    def ranges(self) -> RangeReport:
        """What is proved of these potentials."""
        return self.compilation.ranges

    @property
    def input_map(self) -> InputMap:
        """What a byte of an image means."""
        return self.compilation.options.input_map

    @property
    def params(self) -> ChipParams:
        """Of the cores."""
        return self.compilation.options.params

    @property
    def activity(self) -> dict[str, NDArray[np.float64]]:
        """Expected spikes of every neuron."""
        return self.compilation.activity


@dataclass(frozen=True)
class LoadedModel:
    """A float model in evaluation mode, and where its weights come from.

    ``input_shape`` is (C, H, W), (C, L) or (F,). ``input`` is what the model says of its input,
    empty where it does not. ``graph`` is what was captured from a file, if it came as one.
    """

    module: torch.nn.Module
    input_shape: tuple[int, ...]
    weights: str
    input: str = ""
    graph: object = None

    @property
    def source(self) -> object:
        """What the compiler reads."""
        return self.module if self.graph is None else self.graph


def load_model(settings: Settings) -> LoadedModel:
    """The float model with its weights.

    A registered model that nobody trained on the data set gets random weights at the scale of the
    data, see :func:`stemcore.models.random_weights.calibrate_random`, and says so.
    """
    if is_own_model(settings.model):
        return _load_users_model(settings)
    spec = get_model(settings.model)
    spec.check_compiles()
    spec.check_task(settings.dataset)
    path = settings.checkpoint or find_checkpoint(settings.model, settings.data_name)
    # Without labels there is nothing to count; the network keeps the classes that it has.
    n_classes = len(load_class_names(settings.dataset, settings.data)) or spec.n_classes
    module = spec.build(n_classes=n_classes)
    if path is not None:
        trained_on = str(load_into(module, path, model=settings.model)["dataset"])
        other = "" if trained_on == settings.data_name else f" on {trained_on}"
        return LoadedModel(module.eval(), spec.input_shape, TRAINED + other, input=spec.input)
    data = load_dataset(
        settings.dataset, spec.input_shape, settings.data, n_train=RANDOM_IMAGES, n_test=0
    )
    calibrate_random(module, data.train_images)
    return LoadedModel(module, spec.input_shape, RANDOM, input=spec.input)


def _load_users_model(settings: Settings) -> LoadedModel:
    loaded = load_own_model(settings.model)
    if SOURCES[settings.dataset].task == DETECTION:
        n_values = n_outputs(len(load_class_names(settings.dataset, settings.data)))
        if len(loaded.output_shape) != 3 or loaded.output_shape[0] != n_values:
            raise ModelError(
                f"{settings.model}: on {settings.data_shown} the output must have the shape "
                f"({n_values}, rows, columns) of models/yolo.py; {loaded.output_shape} came; "
                "choose another data set or change the model's last layer"
            )
    if settings.checkpoint is not None and loaded.graph is not None:
        raise ModelError(
            f"{settings.model}: a file must come with its own weights; --checkpoint "
            f"{settings.checkpoint} came; export the model again with these weights in it"
        )
    if settings.checkpoint is not None:
        load_weights(loaded.module, settings.checkpoint)
        said = f"of {settings.checkpoint.name}"
        return LoadedModel(loaded.module, loaded.input_shape, said, loaded.input)
    return LoadedModel(loaded.module, loaded.input_shape, OWN, loaded.input, loaded.graph)


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


def compile_options(settings: Settings, input_shape: tuple[int, ...]) -> Options:
    """The settings as far as they are the compiler's."""
    path = settings.model.rpartition(":")[0] or settings.model  # of file.py:function the file
    return Options(
        name=Path(path).stem if is_own_model(settings.model) else settings.model,
        input_shape=input_shape,
        params=chip_params(settings),
        profile=settings.profile,
        bits=settings.bits,
        bias=settings.bias,
        tables=read_tables(settings.tables),
        integration=settings.integration,
        mesh=settings.mesh,
        cores=settings.cores,
    )


def _preset_that_holds(
    captured: Compilation, settings: Settings, say: Callable[[str], None]
) -> str:
    """The preset that was asked for, else the default or a larger one, if the network fits it.

    Raises ``CompileError`` where it fits none; no data have been read by then.
    """
    name, chosen, problem = preset_name(settings), "", None
    if settings.preset is None:
        chosen, problem = choose_preset(captured)
    else:
        problem = try_fit(captured)
    if chosen:
        say(
            f"preset       {chosen}, because {name} does not hold the network: "
            + " ".join(str(problem).split())
        )
    elif problem is not None:
        raise problem
    return chosen or name


def prepare(
    settings: Settings,
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    watch: Stopwatch | None = None,
    folder: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Prepared:
    """Model, data, and every stage of the compiler up to the expected spikes.

    The compatibility check speaks before anything is calibrated.

    n_train, n_test : images of each split to load; None loads all
    watch : times the stages load, capture, quantize and lower
    folder : where results of the compiler's stages are kept and, where nothing that they depend on
        has changed, found again (see :func:`kept_beside`); ``say`` tells what was. None keeps
        nothing
    """
    chip_params(settings)
    read_tables(settings.tables)  # what is misspelt is refused before anything is loaded
    watch = watch or Stopwatch()
    with watch("load"):
        loaded = load_model(settings)
    options = compile_options(settings, loaded.input_shape)
    with watch("capture"):
        captured = run_stages(Compilation(options, Inputs(loaded.source)), stop="check")
    shape = captured.graph.input_shape
    if settings.dataset != ARRAYS:  # of which the file says whether they are bytes
        stated_map(settings.input, loaded.input, captured.graph)
    preset = preset_name(settings)
    if is_own_model(settings.model):  # those of the zoo are known to fit their presets
        with watch("capture"):
            preset = _preset_that_holds(captured, settings, say)
        captured = captured.with_options(params=chip_params(settings, preset))
    with watch("load"):
        dataset = load_dataset(settings.dataset, shape, settings.data, n_train, n_test)
    for note in dataset.notes:
        say(f"data         {note}")

    def in_float(images: NDArray[Any], input_map: InputMap) -> NDArray[np.float32]:
        module, sizes = scoring(loaded.module, loaded.input_shape, captured.graph)
        return float_outputs(module, images, input_map, sizes)

    is_usual = not settings.input and not is_own_model(settings.model)
    input_map = find_map(
        settings.input,
        loaded.input,
        captured.graph,
        dataset,
        lambda tried: in_float(dataset.train_images[:AUTO_IMAGES], tried),
        (lambda line: None) if is_usual else say,
    )
    kind = settings.outputs or (CLASSES if _has_an_output_a_class(captured, dataset) else None)
    captured = captured.with_options(input_map=input_map, outputs=kind)
    calibration = input_map.codes(dataset.train_images[:CALIBRATION_IMAGES], "x_train")
    with _alone_in(folder):
        store = None if folder is None else CompileFolder(folder, kept_beside(folder))
        with watch("quantize"):
            quantized = run_stages(
                captured.with_inputs(calibration=calibration), stop="tables", store=store
            )
        with watch("lower"):
            compilation = run_stages(quantized, stop="activity", store=store)
    say_reused(store, say)
    say_agreement(compilation, say)
    integers = input_map.codes(dataset.test_images, "x_test").astype(np.int64)
    if isinstance(dataset, Dataset):
        test_images = dataset.test_images
        n_values = int(np.prod(compilation.exact.output.out_shape))
        given = dataset
        dataset = _judged(given, n_values, lambda: in_float(test_images, input_map))
        if dataset.metric == AGREEMENT:
            labels = f"{given.n_classes} classes" if given.has_labels else "no labels"
            say(
                f"outputs      {n_values} for {labels} of {settings.data_shown}: in place of an "
                "accuracy, the share of images whose largest output is the float network's"
            )
    table = compilation.input_table
    return Prepared(
        settings=settings,
        dataset=dataset,
        module=loaded.module,
        weights=loaded.weights,
        input_shape=loaded.input_shape,
        compilation=compilation,
        integers=integers if table is None else apply(table, integers),
        store=store,
        say=say,
        preset=preset,
    )


def scoring(
    module: torch.nn.Module, input_shape: tuple[int, ...], graph: Graph
) -> tuple[torch.nn.Module, tuple[int, ...]]:
    """What gives the real values of the network's output, and the shape of one input of it; where
    the module goes on with a tail, that is the graph without it."""
    return (GraphModule(graph), graph.input_shape) if graph.tail else (module, input_shape)


def _has_an_output_a_class(compilation: Compilation, dataset: Dataset | BoxDataset) -> bool:
    graph = compilation.graph
    n_outputs = int(np.prod(graph.shape_of(graph.output)))
    return isinstance(dataset, Dataset) and n_outputs == dataset.n_classes


def _judged(
    dataset: Dataset, n_values: int, reference: Callable[[], NDArray[np.float32]]
) -> Dataset:
    """The data set, with labels that ``n_values`` outputs can be measured against.

    Where it has none, or of another number of classes, they are the float network's own: the place
    of the largest output in ``reference``.
    """
    fits = dataset.has_labels and dataset.n_classes == n_values
    if fits or not len(dataset.test_images):
        return dataset
    return replace(
        dataset,
        train_labels=np.zeros(len(dataset.train_images), np.int64),
        test_labels=predictions(reference()),
        class_names=tuple(f"output {i}" for i in range(n_values)),
        metric=AGREEMENT,
    )


def kept_beside(folder: Path) -> list[Path]:
    """Folders of compilations of the same model and data with other settings.

    ``folder`` lies in a run's folder, whose name begins with model and data set, each without a
    dash (:mod:`stemcore.runtime.report.names`).
    """
    run = folder.parent
    stem = glob.escape("-".join(run.name.split("-")[:2]))
    found = [*run.parent.glob(f"{stem}/{folder.name}"), *run.parent.glob(f"{stem}-*/{folder.name}")]
    return sorted(path for path in found if path != folder)


def say_reused(store: CompileFolder | None, say: Callable[[str], None]) -> None:
    """Says in one line which stages were found, and where."""
    if store is not None and store.reused:
        folders = dict.fromkeys(_short(path) for path in store.reused.values())
        say(f"compile      {_spans(store.reused)} reused from {' and '.join(folders)}")
        store.reused.clear()


def _spans(names: Collection[str]) -> str:
    """Stages in words, those that follow each other as ``first to last``."""
    spans: list[list[str]] = []
    for before, name in zip((None, *STAGES), STAGES, strict=False):
        if name not in names:
            continue
        if before in names:
            spans[-1].append(name)
        else:
            spans.append([name])
    return ", ".join(s[0] if len(s) == 1 else f"{s[0]} to {s[-1]}" for s in spans)


def _short(path: Path) -> str:
    """Seen from the working directory, where it lies below that."""
    here, resolved = Path.cwd(), path.resolve()
    return str(resolved.relative_to(here) if resolved.is_relative_to(here) else path)


@contextmanager
def _alone_in(folder: Path | None) -> Iterator[None]:
    """No other command writes to the compiler's folder meanwhile."""
    if folder is None:
        yield
        return
    with locked(folder.with_name(f".{folder.name}.lock")):
        yield


def finish(prepared: Prepared) -> Compilation:
    """The remaining stages: places the network on a chip."""
    with _alone_in(None if prepared.store is None else prepared.store.path):
        done = run_stages(prepared.compilation, store=prepared.store)
    say_reused(prepared.store, prepared.say)
    return done


def compile_program(prepared: Prepared) -> Program:
    """The memory images that :func:`finish` ends with."""
    return finish(prepared).program


def torch_values(
    quantized: QuantizedModel, integers: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Integers of every population as the quantized torch model computes them."""
    with torch.no_grad():
        values = quantized(torch.from_numpy(np.ascontiguousarray(integers)))
    return {name: tensor.numpy().astype(np.int64) for name, tensor in values.items()}


def float_accuracy(prepared: Prepared, n_images: int) -> float:
    """Accuracy or mAP of the float model on the first ``n_images`` test images."""
    return measure(prepared.dataset, prepared.float_outputs(n_images))
