# SPDX-License-Identifier: Apache-2.0
"""What a point's figures depend on beside its settings: the network and the images, as hashes.

The same name or path may mean other weights tomorrow, or on another machine.
"""

import hashlib
from typing import Any

from stemcore.compiler.frontend.graph import Graph
from stemcore.compiler.pipeline import Compilation, run_stages
from stemcore.compiler.records import record_bytes
from stemcore.compiler.sparsity.tables import read_tables
from stemcore.compiler.stages import CALIBRATION_IMAGES, Inputs
from stemcore.models.data import AnyDataset, Dataset, load_dataset

from ..input_arrays import load_parts
from ..load_model import load_model
from ..prepared import Prepared
from ..report.provenance import hash_arrays, hash_test_data
from ..report.schema import AGREEMENT
from ..settings import Settings, compile_options

NETWORK, CALIBRATION, IMAGES, TABLES = "network", "calibration images", "test images", "tables"


def content_of(settings: Settings, n_images: int) -> dict[str, Any]:
    """Hashes of the captured network with its weights, of the images that set its scales, and of
    the first ``n_images`` test images with what they show.

    Raises what reading the network or its data raises, and ``ValueError`` for too few images.
    """
    loaded = load_model(settings)
    options = compile_options(settings, loaded.input_shape)
    captured = run_stages(Compilation(options, Inputs(loaded.source)), stop="capture")
    graph = captured.graph
    dataset: AnyDataset
    if graph.parts:
        dataset, _ = load_parts(settings, loaded.input, graph.parts, CALIBRATION_IMAGES, n_images)
    else:
        dataset = load_dataset(
            settings.dataset, graph.input_shape, settings.data, CALIBRATION_IMAGES, n_images
        )
    if len(dataset.test_images) < n_images:
        raise ValueError(
            f"IMAGES: must lie in 1..{len(dataset.test_images)}, the test images of "
            f"{settings.data_shown}; got {n_images}"
        )
    return {
        NETWORK: _hash_graph(graph),
        CALIBRATION: hash_arrays([("images", dataset.train_images)]),
        IMAGES: hash_test_data(dataset, n_images),
    }


def of_tables(text: str) -> Any:
    """What ``TABLES`` means: a name, or what its file says."""
    return read_tables(text)


def check_content(prepared: Prepared, n_images: int, wanted: dict[str, Any]) -> None:
    """Raises ``ValueError`` where a worker found something else under the same names."""
    dataset = prepared.dataset
    found = {
        NETWORK: _hash_graph(prepared.compilation.graph),
        CALIBRATION: hash_arrays([("images", dataset.train_images)]),
        TABLES: of_tables(prepared.settings.tables),
    }
    # Answers of the network itself have taken the place of labels that do not fit it.
    if not (isinstance(dataset, Dataset) and dataset.metric == AGREEMENT):
        found[IMAGES] = hash_test_data(dataset, n_images)
    for name, value in found.items():
        if value != wanted[name]:
            raise ValueError(
                f"sweep: {name} of {prepared.settings.model} on {prepared.settings.data_shown} "
                "must be the same wherever a point is measured, a worker has others; put the same "
                "files at the same path on all machines"
            )


def _hash_graph(graph: Graph) -> str:
    return hashlib.sha256(record_bytes("graph", graph)).hexdigest()
