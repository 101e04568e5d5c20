# SPDX-License-Identifier: Apache-2.0
"""Networks of torchvision: captured, checked, placed, estimated; some run whole on the gateware.

Weights are random, as :mod:`stemcore.models.random_weights` makes them, and so are the pictures.
"""

import importlib
import sys
import time
from collections.abc import Iterator
from types import ModuleType

import numpy as np
from torch import library, nn

from stemcore.compiler.errors import CompatibilityError, CompileError
from stemcore.extras import require_extra
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.presets import PRESETS
from stemcore.models.random_weights import calibrate_random
from stemcore.runtime import compiled
from stemcore.runtime.compiled import Compiled
from stemcore.runtime.engines.compare import compare_values
from stemcore.runtime.prepared import torch_values
from stemcore.runtime.report.prediction import predict

from .measure import Figure

NETWORKS = (
    *("resnet18", "resnet50", "vgg11_bn", "alexnet", "squeezenet1_1", "mobilenet_v2", "mnasnet1_0"),
    *("densenet121", "googlenet", "inception_v3", "shufflenet_v2_x1_0", "regnet_x_400mf"),
    "efficientnet_b0",
)
ON_GATEWARE = ("squeezenet1_1", "mobilenet_v2", "shufflenet_v2_x1_0")
SIDE, LARGE_SIDE = 224, {"inception_v3": 299}
# Heads that only training uses, and an order of channels that no random weights know.
OPTIONS = {
    name: {"init_weights": False, "aux_logits": False, "transform_input": False}
    for name in ("googlenet", "inception_v3")
}
N_PICTURES = 4
# Operators that torchvision names while it is imported, and that none of these networks uses.
COMPILED_OPERATORS = ("nms", "qnms")


def torchvision_models() -> ModuleType:
    """``torchvision.models``.

    A wheel that was built for another build of torch does not load its compiled operators, and the
    import fails where their names are missing. The networks need none of them: they are named.
    """
    require_extra("torchvision", "networks of torchvision")
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    for name in COMPILED_OPERATORS:
        library.define(
            f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
    return importlib.import_module("torchvision.models")


def pictures(name: str) -> np.ndarray:
    """Random bytes (N, 3, H, W) of the network's size."""
    side = LARGE_SIDE.get(name, SIDE)
    return np.random.default_rng(0).integers(0, 256, (N_PICTURES, 3, side, side)).astype(np.uint8)


def build(name: str) -> nn.Module:
    """A network with random weights, in evaluation mode."""
    module = getattr(torchvision_models(), name)(weights=None, **OPTIONS.get(name, {}))
    calibrate_random(module, pictures(name), batch=N_PICTURES)
    return module


def check(name: str, module: nn.Module) -> Compiled:
    """The network, captured and checked. Raises ``CompileError``."""
    return compiled.compile(
        module, calibration=pictures(name), input="signed", name=name, stop="check"
    )


def estimates(names: tuple[str, ...] = NETWORKS) -> Iterator[Figure]:
    """Each network captured and checked, then quantized, placed and estimated.

    Seconds are those of all processors together: what passes on a machine that does nothing else,
    or less.
    """
    for name in names:
        module = build(name)
        started = time.process_time()
        try:
            check(name, module)
        except CompatibilityError as error:
            yield _refused(name, started, error)
            continue
        yield Figure(f"{name}: capture, check", time.process_time() - started, "s", digits=1)
        started = time.process_time()
        try:
            ready = compiled.compile(module, calibration=pictures(name), input="signed", name=name)
        except CompileError as error:
            yield _refused(name, started, error)
            continue
        found = ready.estimate()
        sizes = ready.compilation.options.params
        preset = next((p for p, params in PRESETS.items() if params == sizes), "sizes of its own")
        note = f"{found.n_cores} cores of {preset}, {found.latency:,.0f} cycles"
        seconds = time.process_time() - started
        yield Figure(f"{name}: all stages and the estimate", seconds, "s", note, 1)


def _refused(name: str, started: float, error: CompileError) -> Figure:
    seconds = time.process_time() - started
    return Figure(f"{name}: refused", seconds, "s", " ".join(str(error).split()), 1)


def on_gateware(names: tuple[str, ...] = ON_GATEWARE) -> Iterator[Figure]:
    """One picture through each network on the gateware.

    Every spike is compared with golden's, and golden's integers with those of the quantized network
    in torch. Raises :class:`Difference`.
    """
    for name in names:
        images = pictures(name)
        ready = compiled.compile(build(name), calibration=images, input="signed", name=name)
        started = time.perf_counter()
        result = ready.run(images[:1], engine="rtl")
        seconds = time.perf_counter() - started
        exact = ready.compilation.exact
        compare_values(
            [layer.population for layer in exact.layers],
            torch_values(ready.compilation.quantized_model, result.images),
            run_network(exact, result.images, acc_width=ready.compilation.exact_width),
            names=("torch", "golden"),
        )
        estimated = predict(ready.program, result.images, result.golden, n_timed=1)["latency"]
        assert result.timing is not None, "the gateware counts cycles"
        latency = int(result.timing.end[0])
        spikes = sum(int(n.sum()) for n in result.spikes.values())
        note = f"{spikes:,} spikes equal; estimated {estimated:,.0f}"
        yield Figure(f"{name}: cycles of one picture", latency, "cycles", note)
        yield Figure(f"{name}: simulated and compared in", seconds, "s", digits=1)
