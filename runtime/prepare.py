# SPDX-License-Identifier: Apache-2.0
"""From settings to what the compiler needs: a model, its data and the input's meaning."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.input_map import InputMap
from stemcore.compiler.input_parts import packed_map
from stemcore.compiler.lowering.skip_buffers import check_choice
from stemcore.compiler.pipeline import Compilation, run_stages
from stemcore.compiler.quantization.outputs import CLASSES
from stemcore.compiler.saved import CompileFolder
from stemcore.compiler.sparsity.tables import read_tables
from stemcore.compiler.stages import CALIBRATION_IMAGES, Inputs
from stemcore.compiler.trial import find_fit
from stemcore.golden.arithmetic.activation_tables import apply
from stemcore.models.data import (
    ARRAYS,
    AnyDataset,
    Dataset,
    load_dataset,
)
from stemcore.models.data.array_file import holds_bytes

from .compile_folder import alone_in, kept_beside, say_reused
from .given_agreement import say_agreement
from .input_arrays import load_parts
from .input_choice import AUTO_IMAGES, find_map, stated_map
from .load_model import load_model
from .own_model import is_own_model
from .prepared import Prepared, finish, scoring
from .report.accuracy import float_outputs, predictions
from .report.names import compile_folder
from .report.schema import AGREEMENT
from .report.stopwatch import Stopwatch
from .settings import Settings, chip_params, compile_options, preset_name


def _on_chip_that_holds(
    captured: Compilation, settings: Settings, say: Callable[[str], None]
) -> tuple[Compilation, str]:
    """With the sizes of the preset that was asked for, else of the default or a larger one, and
    without skip buffers where it fits without them alone; and the preset's name.

    Raises ``CompileError`` where it fits none; no data have been read by then.
    """
    name = preset_name(settings)
    fit = find_fit(captured, larger=settings.preset is None)
    why = " ".join(str(fit.problem).split())
    if fit.problem is not None and not fit.fits:
        raise fit.problem
    if fit.preset:
        say(f"preset       {fit.preset}, because {name} does not hold the network: {why}")
    if fit.skip_buffers is not captured.options.with_skip_buffers:
        because = "" if fit.preset else f", because with them {name} does not hold it: {why}"
        say(
            "skip buffers none: the network takes fewer cores, and images follow each other "
            f"later{because}"
        )
    preset = fit.preset or name
    params = chip_params(settings, preset)
    return captured.with_options(params=params, with_skip_buffers=fit.skip_buffers), preset


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
    check_choice(options.with_skip_buffers, options.params)
    with watch("capture"):
        captured = run_stages(Compilation(options, Inputs(loaded.source)), stop="check")
    shape = captured.graph.input_shape
    parts = captured.graph.parts
    if not parts and _needs_a_meaning(settings, loaded.input):
        stated_map(settings.input, loaded.input, captured.graph)
    preset = preset_name(settings)
    if is_own_model(settings.model):  # those of the zoo are known to fit their presets
        with watch("capture"):
            captured, preset = _on_chip_that_holds(captured, settings, say)
    maps: tuple[InputMap, ...] = ()
    with watch("load"):
        dataset: AnyDataset
        if parts:
            dataset, maps = load_parts(settings, loaded.input, parts, n_train, n_test)
        else:
            dataset = load_dataset(settings.dataset, shape, settings.data, n_train, n_test)
    for note in dataset.notes:
        say(f"data         {note}")

    def in_float(images: NDArray[Any], input_map: InputMap) -> NDArray[np.float32]:
        module, sizes = scoring(loaded.module, loaded.input_shape, captured.graph)
        return float_outputs(module, images, input_map, sizes)

    is_usual = not settings.input and not is_own_model(settings.model)
    if parts:
        input_map = packed_map(maps, parts)
        for part, one in zip(parts, maps, strict=True):
            say(f"input        {part.name}: {one.describe()}")
    else:
        input_map = find_map(
            settings.input,
            loaded.input,
            captured.graph,
            dataset,
            lambda tried: in_float(dataset.train_images[:AUTO_IMAGES], tried),
            (lambda line: None) if is_usual else say,
        )
    kind = settings.outputs or None
    if not kind and _has_an_output_a_class(captured, dataset):
        first = captured.graph.outputs[0].name  # which labels are of
        kind = f"{first}={CLASSES}" if captured.graph.results else CLASSES
    captured = captured.with_options(input_map=input_map, part_maps=maps, outputs=kind)
    calibration = input_map.codes(dataset.train_images[:CALIBRATION_IMAGES], "x_train")
    with alone_in(folder):
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


def _needs_a_meaning(settings: Settings, said: str) -> bool:
    """Whether somebody must state what the data mean to the network; floats say it themselves.

    Asked before the network is fitted to a chip, which may take minutes.
    """
    if settings.dataset != ARRAYS:
        return True
    is_stated = bool(settings.input or said)
    return not is_stated and settings.data is not None and holds_bytes(settings.data)


def compile_for_estimate(settings: Settings, say: Callable[[str], None]) -> Compilation:
    """Every stage of the compiler, with no more images than scales and spikes rest on."""
    say(f"model        {settings.model} on {settings.data_shown}: capture, calibrate, quantize")
    prepared = prepare(
        settings,
        n_train=CALIBRATION_IMAGES,
        n_test=1,
        folder=compile_folder(settings),
        say=say,
    )
    say("compile      partition, place, assemble")
    return finish(prepared)


def _has_an_output_a_class(compilation: Compilation, dataset: AnyDataset) -> bool:
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
