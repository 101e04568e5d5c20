# SPDX-License-Identifier: Apache-2.0
"""What came out of a run of a compiled network, whichever engine it was."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.pipeline import Compilation
from stemcore.compiler.quantization.outputs import describe_outputs
from stemcore.files import write_whole
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.network import INPUT
from stemcore.golden.network.results import Output, describe_tails
from stemcore.golden.network.tail import apply_tail
from stemcore.golden.program.program import Program

from .engines.result import Counters, RunResult, Timing

if TYPE_CHECKING:
    from .report_html import Run

GOLDEN = "golden"


@dataclass(frozen=True, eq=False)
class Result:
    """Outcome of :meth:`stemcore.runtime.compiled.Compiled.run`.

    Attributes
    ----------
    compilation
        What ran.
    images : int64 (N, C, H, W)
        Integers that the host fired.
    golden : mapping
        Integers of every population in golden, by name (N, C, H, W); the input is among them.
    ran : RunResult
        What the engine returned.
    program : Program or None
        The memory images, where the engine ran some.
    difference : str or None
        The first difference from golden: layer, image, neuron, time step, expected, got.
    """

    compilation: Compilation
    images: NDArray[np.int64]
    golden: Mapping[str, NDArray[np.int64]]
    ran: RunResult
    program: Program | None
    difference: str | None

    def __repr__(self) -> str:
        exact = {True: "equal to golden", False: "DIFFERENT from golden", None: "golden itself"}
        cycles = "" if self.timing is None else f", {self.timing.total:,} cycles"
        return (
            f"<Result of {len(self.images)} images on {self.engine!r}: every spike "
            f"{exact[self.bit_exact]}{cycles}>"
        )

    @property
    def engine(self) -> str:
        """Name of the engine."""
        return self.ran.engine

    @property
    def bit_exact(self) -> bool | None:
        """Whether every spike of every layer is golden's; None where golden itself ran.

        Of a chip that nobody sees into: every spike that reached the host, and every core's count
        of spikes and additions.
        """
        return None if self.engine == GOLDEN else self.difference is None

    @property
    def integers(self) -> Any:
        """Outputs as integers (N, C, H, W): an array, or several as the network arranges them."""
        return self._arranged(lambda output: self._received[output.source])

    @property
    def outputs(self) -> Any:
        """Outputs as the real numbers that the integers stand for (N, C, H, W): an array, or
        several as the network arranges them, in tuples, lists and dicts."""
        return self._arranged(self._real)

    @cached_property
    def final(self) -> Any:
        """What the network itself returns: :attr:`outputs` with the tail applied that the host
        computes (softmax, argmax, top-k, another order), in the network's own shape; a tuple where
        it ends in top-k. :attr:`outputs` where there is no tail and one output."""
        return self._arranged(lambda output: output.final(self._real(output)))

    @cached_property
    def _received(self) -> Mapping[str, NDArray[np.int64]]:
        """Integers (N, C, H, W) by layer that the host receives."""
        return self.compilation.network.split(self.ran.outputs)

    def _real(self, output: Output) -> NDArray[np.float64]:
        scale = np.float64(self.compilation.network.scales[output.source])
        return self._received[output.source] * scale

    def _arranged(self, of: Callable[[Output], Any]) -> Any:
        """What ``of`` gives for each output, arranged as the network does."""
        network = self.compilation.network
        found = [of(output) for output in network.outputs]
        return network.results.arrange(found) if network.results else found[0]

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Channel of the largest output (N,), the first of equals; of each position (N, H, W)
        where the output has several. Of several outputs, those of the first."""
        first = self._received[self.compilation.network.output.name]
        best: NDArray[np.int64] = first.argmax(axis=1)
        return best[:, 0, 0] if best.shape[1:] == (1, 1) else best

    @property
    def values(self) -> Mapping[str, NDArray[np.int64]]:
        """Integers that every population fired, by name (N, C, H, W)."""
        return self.ran.values

    @cached_property
    def spikes(self) -> dict[str, NDArray[np.int64]]:
        """Spikes of every population in each image (N,), by name, the input first."""
        network = self.compilation.network
        fired = {INPUT: self.images, **self.ran.values}
        return {
            name: count_spikes(array, network.population(name).bits).sum(axis=(1, 2, 3))
            for name, array in fired.items()
        }

    @property
    def counters(self) -> Mapping[tuple[int, int], Counters] | None:
        """Counters of every core by node (x, y) over the whole run, where the engine has cores."""
        return self.ran.counters

    @property
    def timing(self) -> Timing | None:
        """Clock cycles, where the engine has a clock."""
        return self.ran.timing

    def save(self, path: Path | str) -> Path:
        """Writes an npz with integers, outputs, predictions, and spikes by population.

        Where the host computes a tail, ``final`` is what it gives, of top-k also ``final_indices``.
        Of several outputs, each has its own: ``integers.NAME`` and so on; predictions are those of
        the first.
        Cycles are ``start`` and ``end`` of every image, where the engine has a clock.
        """
        import io

        arrays: dict[str, Any] = {"predictions": self.predictions}
        network = self.compilation.network
        for output in network.outputs:
            of = f".{output.name}" if network.results else ""
            real = self._real(output)
            arrays |= {f"integers{of}": self._received[output.source], f"outputs{of}": real}
            if output.tail:
                found = apply_tail(output.tail, real)
                final = found if isinstance(found, tuple) else (found,)
                names = (f"final{of}", f"final_indices{of}")
                arrays |= dict(zip(names, final, strict=False))
        arrays |= {f"spikes.{name}": counts for name, counts in self.spikes.items()}
        if self.timing is not None:
            arrays |= {"start": self.timing.start, "end": self.timing.end}
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)
        write_whole(path, stream.getvalue())
        return Path(path)

    def report(self, path: Path | str, labels: Any = None) -> Path:
        """Writes a page of HTML that needs no other file, and returns its path.

        labels : integers (N,), optional
            The right answers, for a share of right ones.
        """
        from .report_html.page import page

        path = Path(path)
        write_whole(path, page(self._page_run(labels), path.parent))
        return path

    def accuracy(self, labels: Any) -> float:
        """Share of predictions that are the labels (N,); ``ValueError`` for other shapes."""
        wanted = np.asarray(labels)
        if wanted.shape != self.predictions.shape or wanted.dtype.kind not in "iu":
            raise ValueError(
                f"labels: must be integers of shape {self.predictions.shape}; "
                f"{wanted.dtype} {wanted.shape} came"
            )
        return float((self.predictions == wanted).mean())

    def _page_run(self, labels: Any) -> "Run":
        from .report_html import Run

        has_clock = self.timing is not None
        return Run(
            self._figures(labels),
            None,
            self.compilation.network,
            self.images,
            self.golden,
            self.program,
            None if has_clock or self.program is None else self.ran,
            self.ran if has_clock else None,
        )

    def _figures(self, labels: Any) -> dict[str, Any]:
        """What the page shows, under the names of report.json."""
        from stemcore.compiler.assembly.layer_info import layer_info
        from stemcore.compiler.virtual.chip import virtual_chip

        from .report import figures
        from .report.prediction import predict

        options, network, n = self.compilation.options, self.compilation.network, len(self.images)
        quantized, program = self.compilation.quantized, self.program
        found: dict[str, Any] = {
            "model": options.name,
            "dataset": "own images",
            "data": "labels unknown" if labels is None else "labels given",
            "weights": "the model's own",
            "images": n,
            "bit_exact": {
                "torch_golden": None,
                "golden_program": self.bit_exact if self.engine == "program" else None,
                "golden_rtl": None if self.engine in (GOLDEN, "program") else self.bit_exact,
            },
            "differences": [] if self.difference is None else [self.difference],
            "accuracy": None if labels is None else self.accuracy(labels),
            "bias": {layer.name: layer.bias_format for layer in quantized.layers},
            "profile": quantized.profile,
            "tables": options.tables if isinstance(options.tables, str) else "by layer",
            "integration": {"mode": options.integration or options.params.integration},
            "outputs": describe_outputs(quantized.kinds),
        }
        if tails := describe_tails(network.outputs):
            found["tail"] = tails
        if program is None:
            layers = [layer_info(network, layer) for layer in network.layers]
            values = {INPUT: self.images, **self.ran.values}
            return (
                found
                | figures.network_figures(layers)
                | figures.golden_figures(network, layers, values)
            )
        found |= figures.size_figures(program)
        if self.timing is not None and self.counters is not None:
            found |= figures.rtl_figures(program, self.ran, n)
        elif self.counters is not None:
            found |= figures.chip_figures(program, self.counters, n)
        chip = None
        if (turns := self.ran.virtual) is not None:
            found["virtual_cores"] = figures.virtual_figures(turns, n)
            chip = virtual_chip(program, turns.n_cores, self.compilation.activity)
        predicted = predict(program, self.images, self.golden, n_timed=min(n, 16), chip=chip)
        return found | {"estimate": predicted}
