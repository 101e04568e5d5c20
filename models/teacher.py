# SPDX-License-Identifier: Apache-2.0
"""Distillation: a small network learns the answers of a larger one, which has learned the labels.

Both see the same augmented images, for many epochs, and nothing but the teacher's answers counts
(Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", arXiv
2106.05237).
"""

from pathlib import Path

import torch
from torch import nn

from .arrays import Shape
from .checkpoint import load_into, read_checkpoint
from .errors import ModelError
from .registry import get_model


class Teacher:
    """A registered network with the weights of a file; nothing changes them.

    Parameters
    ----------
    path : path
        Weight file; the model that its metadata name is built.
    input_shape : tuple (C, H, W)
        Of the images that both will see.
    dataset : str
        Its name, which that of the file must be where the file names no classes.
    class_names : tuple of str
        Of the data set, which the teacher's must be.

    Raises :exc:`ModelError` where the network does not fit, :exc:`CheckpointError` for the file.
    """

    def __init__(
        self,
        path: Path | str,
        input_shape: Shape,
        dataset: str,
        class_names: tuple[str, ...],
    ) -> None:
        path = Path(path)
        metadata = read_checkpoint(path)[1]
        spec = get_model(metadata["model"])
        spec.check_trains()
        names = metadata.get("class_names")
        is_same = metadata["dataset"] == dataset if names is None else list(names) == [*class_names]
        if spec.input_shape != input_shape:
            raise ModelError(
                f"teacher {path.name}: must take images of {'x'.join(map(str, input_shape))}; "
                f"{spec.name} takes {'x'.join(map(str, spec.input_shape))}; name weights of a "
                "model that sees the same images"
            )
        if not is_same:
            raise ModelError(
                f"teacher {path.name}: must know the classes of {dataset}, "
                f"{', '.join(class_names)}; it knows "
                f"{', '.join(names) if names else 'those of ' + metadata['dataset']}; name weights "
                "that were trained on the same data set"
            )
        self.module = spec.build(n_classes=len(class_names))
        load_into(self.module, path)
        self.module.eval().requires_grad_(False)

    @torch.no_grad()
    def answer(self, batch: torch.Tensor, half_precision: bool) -> torch.Tensor:
        """Its logits for float images (N, C, H, W): float32 (N, n_classes)."""
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=half_precision):
            return self.module(batch).float()


def distillation_loss(
    outputs: torch.Tensor, answers: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Divergence of softened probabilities, times the square of the temperature: a scalar.

    ``T^2 KL(softmax(answers / T) || softmax(outputs / T))``, the mean over the batch (Hinton et
    al., arXiv 1503.02531): 0 where both agree, and gradients of the same size for every T.

    outputs, answers : float tensors (N, n_classes)
    """
    return (
        nn.functional.kl_div(
            torch.log_softmax(outputs / temperature, 1),
            torch.log_softmax(answers / temperature, 1),
            reduction="batchmean",
            log_target=True,
        )
        * temperature**2
    )
