# SPDX-License-Identifier: Apache-2.0
"""The networks that have trained weights, and what is measured of them; long steps are cached."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.lowering.integrate import integrate
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.quantization.quantize import quantize
from stemcore.compiler.sparsity.tables import apply_tables, find_tables
from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.folders import results
from stemcore.golden.network.network import Network
from stemcore.golden.network.other_codes import DirectCode, position_coded
from stemcore.models import checkpoint
from stemcore.models.checkpoint import checkpoint_path, read_checkpoint
from stemcore.models.cifar10net import STEPS
from stemcore.models.registry import MODELS
from stemcore.runtime.prepare import prepare
from stemcore.runtime.prepared import Prepared, torch_values
from stemcore.runtime.report.accuracy import metric_of
from stemcore.runtime.report.figures import write_json
from stemcore.runtime.report.names import output_folder
from stemcore.runtime.report.schema import REPORT_FILE
from stemcore.runtime.settings import Settings
from stemcore.runtime.sparsify.operation_counts import Measured, run_with_counts

from .score import scored
from .trained_codes import measure_integration, trained_forms, training_of

IMAGES = 500
CODE_IMAGES = 200
BATCH = 50
# Of the kept figures: raised when one of them is added or means something else.
CACHE_VERSION = 2
Figures = dict[str, Any]


def tables_folder() -> Path:
    """Where the tables go, with what was measured for them."""
    return results() / "tables"


def digest(thing: object) -> str:
    """A short hash of arrays, networks (frozen dataclasses) and plain values, by contents."""
    sha = hashlib.sha256()

    def add(value: object) -> None:
        if isinstance(value, np.ndarray):
            sha.update(f"{value.dtype.str}{value.shape}".encode())
            sha.update(np.ascontiguousarray(value).tobytes())
        elif is_dataclass(value):
            sha.update(type(value).__name__.encode())
            for field in fields(value):
                add(getattr(value, field.name))
        elif isinstance(value, tuple | list):
            sha.update(f"[{len(value)}".encode())
            for item in value:
                add(item)
        elif isinstance(value, dict):
            add(sorted((str(key), item) for key, item in value.items()))
        else:
            sha.update(repr(value).encode())
        sha.update(b";")

    add(thing)
    return sha.hexdigest()[:24]


def cached(what: str, inputs: object, measure_it: Callable[[], Figures]) -> Figures:
    """What ``measure_it`` returns, kept on disk under the digest of ``what`` and ``inputs``.

    ``what`` is printed before it is measured.
    """
    path = tables_folder() / "cache" / f"{digest([CACHE_VERSION, what, inputs])}.json"
    if path.exists():
        return json.loads(path.read_text())
    print(f"  {what}", flush=True)
    figures = measure_it()
    write_json(path, figures)
    return figures


@dataclass(frozen=True)
class Subject:
    """One trained network on one data set, on the first ``n_images`` test images.

    ``checkpoint`` holds its weights where they are not those of the repository.
    """

    model: str
    dataset: str
    n_images: int
    data: Path | None = None
    checkpoint: Path | None = None

    @property
    def name(self) -> str:
        """For the rows."""
        return f"{self.model} on {self.dataset}"

    @property
    def _settings(self) -> Settings:
        return Settings(
            self.model, dataset=self.dataset, data=self.data, checkpoint=self.checkpoint
        )

    @cached_property
    def prepared(self) -> Prepared:
        """Quantized with the exact profile."""
        return prepare(self._settings, n_train=CALIBRATION_IMAGES, n_test=self.n_images)

    @property
    def network(self) -> Network:
        """Its layers alone, without those that a chip adds to carry values on."""
        return self.prepared.exact

    @property
    def images(self) -> np.ndarray:
        """Test images as integers."""
        return self.prepared.integers[: self.n_images]

    @property
    def calibration(self) -> np.ndarray:
        """Training images that the quantization was calibrated on."""
        images = self.prepared.dataset.train_images[:CALIBRATION_IMAGES]
        return self.prepared.input_map.codes_of_bytes(images)

    def score(self, outputs: np.ndarray, network: Network) -> Figures:
        """Accuracy or mAP of integer outputs, as :func:`.score.scored` tells it."""
        real = outputs * network.scales[network.output.name]
        return scored(self.prepared.dataset, real)

    def _counted(self, network: Network, seen: Measured) -> Figures:
        return {
            **self.score(seen.outputs, network),
            "sops": seen.sops,
            "spikes": seen.spikes,
        }

    def _cached(self, step: str, network: Network, measure_it: Callable[[], Figures]) -> Figures:
        return cached(f"{self.name}: {step}", [network, self.images], measure_it)

    def plain(self) -> Figures:
        """Float, torch's quantized model and golden; sizes."""
        prepared, network = self.prepared, self.network

        def run() -> Figures:
            output = network.output.name
            in_torch = [
                torch_values(prepared.quantized, self.images[start : start + BATCH])[output]
                for start in range(0, len(self.images), BATCH)
            ]
            seen = run_with_counts(network, self.images, prepared.exact_width)
            return {
                "float": scored(prepared.dataset, prepared.float_outputs(len(self.images))),
                "quantized": self.score(np.concatenate(in_torch), network),
                "equal": bool(np.array_equal(np.concatenate(in_torch), seen.outputs)),
                "macs": prepared.n_macs,
                "parameters": sum(p.numel() for p in prepared.module.parameters()),
                "metric": metric_of(prepared.dataset),
                "images": len(self.images),
                "provenance": prepared.dataset.provenance,
                **self._counted(network, seen),
            }

        return self._cached("no tables", network, run)

    def with_table(self, name: str) -> Figures:
        """One table for the outputs of every layer but the last."""
        tables = find_tables(self.prepared.quantized.network, name)
        network = apply_tables(self.network, tables)

        def run() -> Figures:
            seen = run_with_counts(network, self.images, self.prepared.exact_width)
            return self._counted(network, seen)

        return self._cached(f"table {name}", network, run)

    def integrated(self, mode: str) -> Figures:
        """Sums and potentials of 16 bits."""
        network = integrate(self.network, mode, self.calibration)

        def run() -> Figures:
            outputs = run_with_counts(network, self.images, 32).outputs
            return self.score(outputs, network)

        return self._cached(f"integration {mode}", network, run)

    def profile(self, profile: str) -> Figures:
        """Another profile of the quantization."""
        prepared = self.prepared
        graph = capture(prepared.module, prepared.dataset.image_shape)
        model = quantize(graph, self.calibration, profile=profile)
        network = lower(model)

        def run() -> Figures:
            seen = run_with_counts(network, self.images, prepared.exact_width)
            forms = sorted({layer.bias_format for layer in model.network.layers})
            return {**self._counted(network, seen), "bias": forms}

        return self._cached(f"profile {profile}", network, run)

    def codes(self) -> Figures:
        """STEM, direct and position coding of the same weights; hidden layers' operations."""
        network, images = self.network, self.images[:CODE_IMAGES]

        def run() -> Figures:
            code = DirectCode(network, STEPS)
            batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
            parts = [(len(batch), code.run(batch)) for batch in batches]
            outputs = np.concatenate([part.outputs for _, part in parts])
            found: Figures = {
                "direct": {
                    **self.score(outputs, network),
                    "images": len(images),
                    "sops": {
                        name: sum(n * part.sops[name] for n, part in parts) / len(images)
                        for name in _hidden(network)
                    },
                }
            }
            for name, coded in (("STEM", network), ("position", position_coded(network))):
                seen = run_with_counts(coded, images, self.prepared.exact_width)
                found[name] = {
                    **self.score(seen.outputs, coded),
                    "images": len(images),
                    "sops": {layer: seen.layer_sops[layer] for layer in _hidden(network)},
                }
            return found

        return cached(f"{self.name}: codes", [network, images, STEPS], run)

    def trained_codes(self) -> Figures:
        """LIF networks of the same layers, by the code they were trained for, and how.

        ``STEM`` stands for the training of this network itself; empty where it is alone.
        """
        forms = trained_forms(self.model, self.dataset)
        if not forms:
            return {}
        data = self.prepared.dataset
        images, labels = data.test_images[:CODE_IMAGES], data.test_labels[:CODE_IMAGES]
        _, metadata = read_checkpoint(checkpoint_path(self.model, self.dataset))
        found: Figures = {"STEM": training_of(metadata)}
        for code, (spec, path) in forms.items():

            def run(spec=spec, path=path) -> Figures:
                return measure_integration(spec, path, images, labels, data.class_names, BATCH)

            weights = hashlib.sha256(path.read_bytes()).hexdigest()
            what = f"{self.name}: trained for {code} coding"
            found[code] = cached(what, [spec.name, weights, images], run)
        return found

    def searched(self) -> Figures | None:
        """What ``make sparsify`` found for this network, or None."""
        path = output_folder(self._settings) / "sparsify" / "pareto.json"
        return json.loads(path.read_text()) if path.exists() else None

    def simulated(self) -> Figures | None:
        """The report of ``make sim`` for this network, or None."""
        path = output_folder(self._settings) / REPORT_FILE
        return json.loads(path.read_text()) if path.exists() else None


def _hidden(network: Network) -> list[str]:
    """Layers without the first, which receives an image, and the last (as the paper counts)."""
    return [layer.name for layer in network.layers[1:-1]]


def find_subjects(n_images: int, data: Path | None = None) -> list[Subject]:
    """Every registered model with ReLU for which a weight file lies in the repository."""
    found = []
    for path in sorted(checkpoint.FOLDER.glob("*.safetensors")):
        model, _, dataset = path.stem.rpartition("-")
        if model in MODELS and not MODELS[model].relu_model:
            found.append(Subject(model, dataset, n_images, data))
    return found
