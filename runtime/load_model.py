# SPDX-License-Identifier: Apache-2.0
"""From a name to a float model with its weights."""

from dataclasses import dataclass
from typing import Any

import torch

from stemcore.models.checkpoint import find_checkpoint, load_into
from stemcore.models.data import (
    DETECTION,
    SEGMENTATION,
    SOURCES,
    load_class_names,
    load_dataset,
)
from stemcore.models.errors import ModelError
from stemcore.models.plain_weights import load_tensors, load_weights
from stemcore.models.random_weights import NAME as RANDOM
from stemcore.models.random_weights import calibrate_random
from stemcore.models.registry import get_model
from stemcore.models.torchvision_names import INPUT as TORCHVISION_INPUT
from stemcore.models.torchvision_names import torchvision_state
from stemcore.models.yolo import n_outputs

from .own_model import is_own_model, load_own_model
from .settings import Settings

RANDOM_IMAGES = 32
TRAINED = "trained"
OWN = "the model's own"


@dataclass(frozen=True)
class LoadedModel:
    """A float model in evaluation mode, and where its weights come from.

    ``input_shape`` is (C, H, W), (C, L) or (F,), of several inputs a tuple or a dict of these.
    ``input`` is what the model says of its input, empty where it does not. ``graph`` is what was
    captured from a file, if it came as one.
    """

    module: torch.nn.Module
    input_shape: Any
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
    state = None if path is None else torchvision_state(path, settings.model)
    if path is not None and state is not None:
        load_tensors(module, state, path.name)
        return LoadedModel(
            module.eval(), spec.input_shape, f"{TRAINED} by torchvision", input=TORCHVISION_INPUT
        )
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
    if SOURCES[settings.dataset].task == SEGMENTATION:
        n_classes = len(load_class_names(settings.dataset, settings.data))
        if len(loaded.output_shape) != 3 or loaded.output_shape[0] != n_classes:
            raise ModelError(
                f"{settings.model}: on {settings.data_shown} the output must have the shape "
                f"({n_classes}, height, width), a score for each class and pixel; "
                f"{loaded.output_shape} came; choose another data set or change the model's last "
                "layer"
            )
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
