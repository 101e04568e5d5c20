# SPDX-License-Identifier: Apache-2.0
"""What others reach, as they publish it; nothing here was measured by this project."""

from .row import QUOTED, SIMULATED, Row

_MLPERF = "MLPerf Tiny results, PYNQ-Z2 (Zynq-7020)"
_SDANN = "table I of arXiv 2505.12221"

ROWS = (
    Row(
        "E3NE (radix code, T = 4)",
        "LeNet-5, 32 x 32",
        "MNIST",
        SIMULATED,
        "its published SystemVerilog, 310 adders of convolutions",
        cycles=85_608,
        clock_mhz=200,
        per_second=200e6 / 85_608,
        note="clock as published, on UltraScale+; its memory is a twelfth of this chip's",
    ),
    Row(
        "Spiker+",
        "spiking, fully connected",
        "MNIST",
        QUOTED,
        "Spiker+'s paper",
        accuracy=93.85,
        per_second=1 / 780e-6,
        luts="7.6k",
        memory="18 BRAM",
        note="780 us an image",
    ),
    Row(
        "FireFly v2",
        "spiking, convolutions",
        "MNIST",
        QUOTED,
        "FireFly v2's and FireFly-S's papers",
        clock_mhz=500,
        energy="10,047 images/s per W, so 0.10 mJ an image, measured on the board",
        note="500 to 600 MHz; 2,327 images/s per W on CIFAR10",
    ),
    Row(
        "Skydiver",
        "spiking, convolutions",
        "MNIST",
        QUOTED,
        "Skydiver's paper",
        per_second=22_600,
        note="its workloads are balanced to over 90 %",
    ),
    Row(
        "Loihi",
        "34.1K parameters",
        "MNIST",
        QUOTED,
        _SDANN,
        accuracy=98.70,
    ),
    Row(
        "FINN, CNV-W1A1",
        "VGG-like, 1-bit weights and activations",
        "CIFAR10",
        QUOTED,
        _MLPERF,
        accuracy=84.5,
        per_second=661,
        energy="2.53 mJ, measured on the board",
    ),
    Row(
        "FINN, CNV-W2A2",
        "VGG-like, 2-bit weights and activations",
        "CIFAR10",
        QUOTED,
        "FINN's examples",
        accuracy=89.03,
    ),
    Row(
        "hls4ml, RN07",
        "ResNet of MLPerf Tiny, smaller",
        "CIFAR10",
        QUOTED,
        _MLPERF,
        accuracy=83.5,
        per_second=36.6,
        energy="44.2 mJ, measured on the board",
    ),
    Row(
        "Loihi, NxTF",
        "spiking, convolutions",
        "CIFAR10",
        QUOTED,
        "NxTF's paper",
        accuracy=91.5,
        per_second=1 / 0.340,
        energy="102 mJ, measured on the chip",
        note="340 ms an image",
    ),
)
