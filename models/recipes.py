# SPDX-License-Identifier: Apache-2.0
"""How each (model, data set) pair is trained."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """Settings of one training run: SGD with Nesterov momentum and one or two learning-rate cycles.

    Attributes
    ----------
    epochs, batch : int
    peak_rate : float
        Learning rate reached after ``warmup`` (a fraction of the run), then falling to zero along
        half a cosine.
    restart_at : int or None
        Epochs before a second cycle of the same shape, whose peak is ``restart_rate``.
    restart_rate : float
    momentum, weight_decay : float
        Decay acts on weight matrices and kernels alone, not on biases or batch norm.
    label_smoothing : float
    shift : int
        Images move by up to this many pixels in both directions, a random crop of the padded one.
    flip : bool
        Half of the images are mirrored left to right.
    cutout : int
        Side in pixels of a square that is covered in each image; 0: none.
    mixup : float
        Images of a batch are mixed in pairs, with shares of Beta(mixup, mixup) (Zhang et al.,
        arXiv 1710.09412); 0: none.
    temperature : float
        With a teacher: both networks' logits are divided by it before they are compared.
    zoom : float
        Detection: images grow or shrink by up to this share.
    colour : float
        Detection: how far contrast and the level of each channel move, as a share.
    largest_gradient : float or None
        Longer gradients, as one vector of all weights, are shortened to this length.
    triangle_to : float or None
        The rate falls along a line, to this share of its peak, instead of half a cosine.
    norm_bias_rate : float
        Learning rate of the biases of batch norms, as a multiple; their decay is divided by it.
    decays_vectors : bool
        Decay acts on biases too.
    alternate_flip : bool
        Which images are mirrored in the first epoch is random; then all change sides every epoch.
    look_ahead : bool
        Every fifth step the weights are set to a running average of themselves, whose memory grows
        from nothing to some hundred steps over the run.
    half_precision : bool
        bfloat16 autocast and channels-last memory; faster where the processor has such units.
    """

    epochs: int
    batch: int = 128
    peak_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    warmup: float = 0.2
    restart_at: int | None = None
    restart_rate: float = 0.05
    shift: int = 0
    flip: bool = False
    cutout: int = 0
    mixup: float = 0.0
    temperature: float = 2.0
    zoom: float = 0.0
    colour: float = 0.0
    largest_gradient: float | None = None
    triangle_to: float | None = None
    norm_bias_rate: float = 1.0
    decays_vectors: bool = False
    alternate_flip: bool = False
    look_ahead: bool = False
    half_precision: bool = True


_LIF_DIGITS = Recipe(epochs=8, batch=32, peak_rate=0.05, shift=3, label_smoothing=0.05)
# One for three networks that are compared: short, since eight time steps cost eight times as much.
_NARROW_CIFAR10 = Recipe(
    epochs=2, batch=64, peak_rate=0.05, shift=2, flip=True, label_smoothing=0.05
)
_SHAPES = Recipe(
    epochs=60, batch=32, peak_rate=0.1, weight_decay=1e-4, shift=4, flip=True, half_precision=False
)
# arXiv 2404.00498, with its rates for sums over a batch turned into rates for means.
_WHITENED_CIFAR10 = Recipe(
    epochs=20,
    batch=1024,
    peak_rate=1.5,
    triangle_to=0.07,
    warmup=0.2,
    momentum=0.85,
    weight_decay=1.33e-3,
    decays_vectors=True,
    norm_bias_rate=64.0,
    label_smoothing=0.2,
    shift=2,
    flip=True,
    alternate_flip=True,
    look_ahead=True,
)
RECIPES = {
    ("digits_cnn", "digits"): Recipe(
        epochs=60, batch=32, peak_rate=0.05, shift=1, label_smoothing=0.05, half_precision=False
    ),
    ("tiny_vgg", "digits"): Recipe(
        epochs=20, batch=32, peak_rate=0.05, shift=3, label_smoothing=0.05
    ),
    ("tiny_vgg", "cifar10"): Recipe(
        epochs=52, restart_at=28, shift=4, flip=True, label_smoothing=0.1
    ),
    # Begins with the weights of tiny_vgg, under the table rd160: `make train` has START and TABLES.
    ("tiny_vgg_sparse", "cifar10"): Recipe(
        epochs=10, peak_rate=0.02, shift=4, flip=True, label_smoothing=0.1
    ),
    ("vgg7", "cifar10"): _WHITENED_CIFAR10,
    ("resnet10", "cifar10"): replace(
        _WHITENED_CIFAR10, epochs=40, peak_rate=1.2, shift=4, cutout=10
    ),
    # Begins with the weights of resnet10, which also teach it, under the table rd60.
    ("resnet10_sparse", "cifar10"): replace(
        _WHITENED_CIFAR10, epochs=10, peak_rate=0.15, shift=4, cutout=10
    ),
    ("resnet8", "cifar10"): Recipe(
        epochs=12, peak_rate=0.2, weight_decay=1e-4, shift=4, flip=True, half_precision=True
    ),
    ("lenet5", "mnist"): Recipe(
        epochs=12, batch=64, peak_rate=0.03, weight_decay=1e-4, shift=2, half_precision=False
    ),
    ("lenet5", "digits"): Recipe(
        epochs=30, batch=32, peak_rate=0.03, weight_decay=1e-4, shift=3, half_precision=False
    ),
    ("audio_cnn", "tones"): Recipe(
        epochs=24, batch=32, peak_rate=0.05, weight_decay=1e-4, half_precision=False
    ),
    ("unet", "shapes"): _SHAPES,
    ("unet_upsampling", "shapes"): _SHAPES,
    ("resnet18_cifar", "cifar10"): Recipe(
        epochs=22, peak_rate=0.2, shift=4, flip=True, label_smoothing=0.05
    ),
    ("cifar10net_w64", "cifar10"): Recipe(
        epochs=25, peak_rate=0.05, restart_at=5, shift=2, flip=True, label_smoothing=0.05
    ),
    ("resnet18_cifar", "digits"): Recipe(
        epochs=25, batch=32, peak_rate=0.05, shift=3, label_smoothing=0.05
    ),
    ("cifar10net_w64", "digits"): Recipe(
        epochs=15, batch=32, peak_rate=0.02, shift=3, label_smoothing=0.05
    ),
    ("cifar10net_w64_direct", "digits"): _LIF_DIGITS,
    ("cifar10net_w64_position", "digits"): _LIF_DIGITS,
    ("cifar10net_w16", "cifar10"): _NARROW_CIFAR10,
    ("cifar10net_w16_direct", "cifar10"): _NARROW_CIFAR10,
    ("cifar10net_w16_position", "cifar10"): _NARROW_CIFAR10,
    ("tiny_yolo_backbone", "imagenette"): Recipe(
        epochs=14, batch=64, peak_rate=0.05, shift=12, flip=True, label_smoothing=0.05
    ),
    ("tiny_yolo", "digit_boxes"): Recipe(
        epochs=30, batch=32, peak_rate=0.01, shift=12, zoom=0.2, colour=0.1, largest_gradient=10.0
    ),
    ("tiny_yolo", "voc"): Recipe(
        epochs=200,
        batch=32,
        peak_rate=0.01,
        restart_at=80,
        restart_rate=0.01,
        shift=20,
        zoom=0.35,
        flip=True,
        colour=0.2,
        largest_gradient=10.0,
    ),
}

# Starting points for pairs that nobody has tuned.
FALLBACK = {
    "digits": Recipe(epochs=20, batch=32, peak_rate=0.05, shift=1),
    "cifar10": Recipe(epochs=28, shift=4, flip=True, label_smoothing=0.1),
    "mnist": Recipe(epochs=10, peak_rate=0.05, shift=2),
    "shapes": _SHAPES,
    "tones": Recipe(epochs=20, batch=32, peak_rate=0.05),
    "imagenette": Recipe(
        epochs=40, batch=64, peak_rate=0.05, shift=8, flip=True, label_smoothing=0.1
    ),
    "imagenet": Recipe(
        epochs=40, batch=256, shift=8, flip=True, weight_decay=1e-4, label_smoothing=0.1
    ),
    "arrays": Recipe(epochs=20, batch=32, peak_rate=0.05),
    "digit_boxes": RECIPES["tiny_yolo", "digit_boxes"],
    "voc": RECIPES["tiny_yolo", "voc"],
}


def get_recipe(model: str, dataset: str) -> Recipe:
    """The recipe of a pair, or the data set's general one."""
    return RECIPES.get((model, dataset), FALLBACK[dataset])
