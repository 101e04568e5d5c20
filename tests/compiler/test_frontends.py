# SPDX-License-Identifier: Apache-2.0
"""Frontends are found by the type of a model or by the suffix of its file."""

from pathlib import Path

import pytest
import torch
from torch import nn

from stemcore.compiler.errors import CaptureError
from stemcore.compiler.frontends.registry import find_frontend, frontends, read_model
from stemcore.compiler.records import record_bytes

BATCH = torch.export.Dim("batch")


def network():
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    ).eval()


def export(n_images, dynamic_shapes=None):
    return torch.export.export(
        network(), (torch.zeros(n_images, 2, 6, 6),), dynamic_shapes=dynamic_shapes
    )


def test_every_file_of_the_folder_is_a_frontend():
    import stemcore.compiler.frontends as package

    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")}
    found = {frontend.read.__module__.rpartition(".")[2] for frontend in frontends()}
    assert found == files - {"__init__", "registry"}


@pytest.mark.medium
@pytest.mark.parametrize(
    ("n_images", "dynamic_shapes"),
    [
        (1, None),
        (4, None),
        (2, ({0: BATCH},)),
        (2, ({0: torch.export.Dim.AUTO},)),
        (4, ({0: torch.export.Dim("some", min=3, max=16)},)),
    ],
    ids=["static1", "static4", "dynamic", "auto", "bounded"],
)
def test_all_kinds_of_one_network_give_one_graph(tmp_path, n_images, dynamic_shapes):
    """Live, exported, and in archives as torch.export.save writes them by default."""
    program = export(n_images, dynamic_shapes)
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    graphs = [
        read_model(network(), (2, 6, 6)),
        read_model(program),
        read_model(path),
        read_model(str(path), (2, 6, 6)),
    ]
    assert len({record_bytes("graph", graph) for graph in graphs}) == 1
    assert read_model(graphs[0]) is graphs[0]


def test_kinds_of_modules_are_modules():
    class Own(nn.Sequential):
        pass

    assert find_frontend(Own()) is find_frontend(nn.ReLU())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (3, r"capture: a model must be a captured Graph, .*, got int; pass the module itself"),
        ("net.onx", r"net\.onx: a file of a model must end in \.onnx or \.pt2, ends in \.onx; "),
        (Path("net"), r"net: a file of a model must end in \.onnx or \.pt2, ends in no suffix"),
        ("none.pt2", r"none\.pt2: the archive must exist, nothing is there; check the path"),
    ],
)
def test_other_models_are_refused(model, message):
    with pytest.raises(CaptureError, match=f"^{message}"):
        read_model(model, (2, 6, 6))


def test_damaged_archives_are_refused(tmp_path):
    path = tmp_path / "net.pt2"
    path.write_bytes(b"not an archive")
    with pytest.raises(
        CaptureError, match=r"net\.pt2: must be an archive of torch\.export\.save; r"
    ):
        read_model(path)


def test_another_input_than_the_graphs_is_refused():
    graph = read_model(network(), (2, 6, 6))
    with pytest.raises(
        CaptureError, match=r"^capture: the graph's input is \(2, 6, 6\), got \(2, 7"
    ):
        read_model(graph, (2, 7, 7))
