# SPDX-License-Identifier: Apache-2.0
"""A model and its data, as far as the compiler has brought them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stemcore.compiler.frontend.graph import Graph
from stemcore.compiler.input_map import InputMap
from stemcore.compiler.lowering.ranges import RangeReport
from stemcore.compiler.pipeline import Compilation, run_stages
from stemcore.compiler.quantization.quantized_model import QuantizedModel
from stemcore.compiler.saved import CompileFolder
from stemcore.compiler.stages import calibration_count
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import Network
from stemcore.golden.program.program import Program
from stemcore.golden.spec.params import ChipParams
from stemcore.models.data import (
    AnyDataset,
)

from .compile_folder import alone_in, say_reused
from .engines.compare import first_difference
from .own_model import GraphModule
from .report.accuracy import float_outputs, measure
from .settings import Settings


@dataclass(frozen=True)
class Prepared:
    """A model and its data, and what the compiler made of them, up to the memory images.

    ``weights`` says where they come from; ``input_shape`` is the module's own. ``integers`` are the
    test images on the input's integer scale (N, C, H, W), through the input's activation table if
    there is one: the host fires what it gets. ``store`` is where the compiler's results are kept,
    if anywhere. ``preset`` is the chip that was asked for, or chosen.
    """

    settings: Settings
    dataset: AnyDataset
    module: torch.nn.Module
    weights: str
    input_shape: Any
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
    def without_skip_buffers(self) -> bool:
        """Whether connections reach past stages of the pipeline."""
        return self.compilation.options.with_skip_buffers is False

    @property
    def activity(self) -> dict[str, NDArray[np.float64]]:
        """Expected spikes of every neuron."""
        return self.compilation.activity


def scoring(
    module: torch.nn.Module, input_shape: Any, graph: Graph
) -> tuple[torch.nn.Module, tuple[int, ...]]:
    """What gives the real values of the network's output, and the shape of one input of it; where
    the module goes on with a tail, returns several outputs or takes several inputs, that is the
    graph without the tail, up to the first output."""
    is_tensor = not graph.tail and not graph.results and not graph.parts
    return (module, input_shape) if is_tensor else (GraphModule(graph), graph.input_shape)


def finish(prepared: Prepared) -> Compilation:
    """The remaining stages: places the network on a chip."""
    with alone_in(None if prepared.store is None else prepared.store.path):
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


def torch_difference(
    compilation: Compilation,
    images: NDArray[np.int64],
    golden: Mapping[str, NDArray[np.int64]],
) -> str | None:
    """The first difference between torch and golden's exact network; None if there is none.

    golden : values by layer of :attr:`Compilation.network` on the images; those of the exact
        network are computed where the cores run another
    """
    params, exact = compilation.options.params, compilation.exact
    in_torch = torch_values(compilation.quantized_model, images)
    if not params.model.is_exact:
        golden = run_network(exact, images, acc_width=compilation.exact_width)
    return first_difference(exact, in_torch, golden, ("torch", "golden"))


def float_accuracy(prepared: Prepared, n_images: int) -> float:
    """Accuracy or mAP of the float model on the first ``n_images`` test images."""
    return measure(prepared.dataset, prepared.float_outputs(n_images))
