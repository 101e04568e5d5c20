# SPDX-License-Identifier: Apache-2.0
"""Figures of the paper (arXiv 2505.12221), tables I to IX and figure 12, in percent.

Operation counts of tables V, VII, VIII and IX are known as relative changes only.
"""

from dataclasses import dataclass

# Table I: (hardware, data set, parameters, bits of a weight, figure)
HARDWARE = (
    ("Loihi", "MNIST", "34.1K", 9, 98.70),
    ("Loihi", "MNIST", "41.8K", 8, 94.70),
    ("Loihi", "MNIST", "164K", 8, 97.50),
    ("SPOON", "MNIST", "64.3K", 8, 97.50),
    ("BrainScaleS-2", "MNIST", "65.4K", 6, 96.90),
    ("Loihi", "Fashion-MNIST", "41.8K", 8, 84.80),
    ("Loihi", "CIFAR10", "34.1K", 9, 77.40),
    ("Loihi", "CIFAR10", "53.8K", 8, 62.20),
    ("Darwin3 (the paper)", "ImageNet", "12.0M", 8, 53.60),
    ("Darwin3 (the paper)", "VOC2007 (mAP)", "5.76M", 8, 50.51),
)

CIFAR10NET, RESNET18, VGG16, TINY_VGG, TINY_YOLO = (
    "CIFAR10Net on CIFAR10",
    "ResNet-18 on CIFAR10",
    "VGG-16 on CIFAR10",
    "Tiny-VGG on ImageNet",
    "Tiny-YOLO on VOC2007",
)
# Table II: quantized network, and the same in spikes.
ACCURACY = {
    VGG16: (92.87, 92.87),
    RESNET18: (93.07, 93.07),
    TINY_VGG: (53.60, 53.60),
    TINY_YOLO: (50.51, 50.51),
}
# Table III: float, quantized, scaled integration.
SCALED = {
    CIFAR10NET: (92.29, 91.93, 91.89),
    RESNET18: (93.26, 93.09, 93.01),
    TINY_VGG: (55.56, 53.65, 53.60),
    TINY_YOLO: (50.49, 50.41, 50.51),
}
# Tables IV and V: change of accuracy (points) and of operations (%) for RoT 1, 2, 3.
ROT = {
    CIFAR10NET: ((-1.08, -5.21, -53.37), (-21.31, -47.69, -70.18)),
    RESNET18: ((-0.46, -1.00, -3.86), (-19.30, -41.76, -60.58)),
    VGG16: ((-0.44, -0.59, -2.51), (-18.52, -39.72, -57.94)),
    TINY_VGG: ((-0.07, -0.43, -11.80), (-20.21, -41.38, -58.58)),
    TINY_YOLO: ((-1.08, -1.62, -5.56), (-19.57, -38.54, -55.37)),
}
# Tables VI and VII: the same for DRLO 4, 3, 2.
DRLO = {
    CIFAR10NET: ((-0.08, 0.01, -0.49), (-0.03, -0.49, -4.95)),
    RESNET18: ((0.10, -0.12, -2.60), (-0.13, -2.12, -11.98)),
    VGG16: ((-0.10, -0.02, -0.79), (-0.57, -3.94, -16.24)),
    TINY_VGG: ((-0.08, -0.43, -11.80), (-0.07, -1.47, -10.70)),
    TINY_YOLO: ((-0.10, -0.31, -6.94), (-0.42, -3.66, -14.83)),
}
# Table VIII: change of accuracy and of operations of the hybrid scheme.
HYBRID = {
    CIFAR10NET: (-1.03, -32.58),
    RESNET18: (-0.24, -6.44),
    TINY_VGG: (-0.68, -9.32),
    TINY_YOLO: (-0.55, -18.58),
}


# Sizes that the paper states, of networks that are built here at that size: millions.
SIZES = {
    "cifar10net": {"macs": 1700.0, "parameters": 36.7},
    "tiny_vgg_12m": {"parameters": 12.0},
}


@dataclass(frozen=True)
class Counterpart:
    """The paper's network nearest to one of ours.

    Attributes
    ----------
    name : str
        As the tables above call it; empty where there is none.
    apart : str
        What sets the two apart.
    same_task : bool
        Data set, split and task are the same, so that a difference of figures means something.
    """

    name: str
    apart: str
    same_task: bool


_SMALL = "about 15 to 40 times fewer parameters, trained within an hour on two processor cores"
_JPEG = "on a JPEG copy of CIFAR10 (lossy), 5,000 test images in all"
# By model and data set of ours.
COUNTERPARTS = {
    ("tiny_vgg", "cifar10"): Counterpart(
        VGG16, f"a VGG of 0.8M parameters, {_SMALL}; {_JPEG}", same_task=True
    ),
    ("resnet18_cifar", "cifar10"): Counterpart(
        RESNET18, f"ResNet-18 at reduced width, {_SMALL}; {_JPEG}", same_task=True
    ),
    ("cifar10net", "cifar10"): Counterpart(
        CIFAR10NET, f"reduced width, {_SMALL}; {_JPEG}", same_task=True
    ),
    ("cifar10net_w64", "cifar10"): Counterpart(
        CIFAR10NET, f"64 channels instead of 256, {_SMALL}; {_JPEG}", same_task=True
    ),
    ("cifar10net_w16", "cifar10"): Counterpart(
        CIFAR10NET,
        f"16 channels instead of 256, trained for a comparison of codes alone; {_JPEG}",
        same_task=True,
    ),
    ("tiny_yolo", "voc"): Counterpart(
        TINY_YOLO,
        "fewer parameters, 2,000 training images, and a split of our own: not comparable",
        same_task=False,
    ),
    ("tiny_yolo", "digit_boxes"): Counterpart(
        TINY_YOLO, "made digits on canvases, not photographs: not comparable", same_task=False
    ),
}
