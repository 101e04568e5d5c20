# SPDX-License-Identifier: Apache-2.0
"""Damaged archives and ONNX files are read or refused by name, whatever is wrong with them."""

import copy
import json
import random
import zipfile

import pytest
import torch
from torch import nn

from stemcore.compiler.errors import CompileError
from stemcore.compiler.frontends.registry import read_model
from stemcore.extras import has_extra, how_to_install
from tests.support.archives import save

VALUES = (None, True, -1, 0, 1 << 40, 0.5, "", "x", "as_int", [], {}, [[]], {"as_int": 3}, "conv2d")


def places(document, at=()):
    """Paths of everything in a JSON document."""
    children = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in children:
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from places(value, (*at, key))


def damaged(document, rng):
    """The document with one part exchanged, left out, or there twice."""
    document = copy.deepcopy(document)
    *before, last = rng.choice(list(places(document)))
    parent = document
    for key in before:
        parent = parent[key]
    kind = rng.choice(("exchange", "drop", "twice"))
    if kind == "drop":
        del parent[last]
    elif kind == "twice" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[last]))
    else:
        parent[last] = rng.choice(VALUES)
    return document


@pytest.fixture
def archive(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).eval()
    shapes = ({0: torch.export.Dim("batch")},)
    path = save(tmp_path / "net.pt2", net, torch.zeros(2, 1, 4, 4), dynamic_shapes=shapes)
    with zipfile.ZipFile(path) as file:
        return path, {name: file.read(name) for name in file.namelist()}


@pytest.mark.medium
@pytest.mark.parametrize("part", ["models/model.json", "model_weights_config.json"])
def test_archives_with_one_damage_are_read_or_refused(archive, part):
    path, parts = archive
    (name,) = [name for name in parts if name.endswith(part)]
    document, rng = json.loads(parts[name]), random.Random(7)
    n_refused = 0
    for _ in range(60):
        changed = {**parts, name: json.dumps(damaged(document, rng)).encode()}
        with zipfile.ZipFile(path, "w") as file:
            for one, data in changed.items():
                file.writestr(one, data)
        try:
            read_model(path)
        except CompileError:
            n_refused += 1
    assert 20 <= n_refused < 60


@pytest.mark.medium
@pytest.mark.skipif(not has_extra("onnx"), reason=f"onnx: {how_to_install('onnx')}")
@pytest.mark.parametrize("form", ["float", "qdq"])
def test_onnx_files_with_one_damage_are_read_or_refused(tmp_path, form):
    from tests.support.onnx_nets import residual

    data, rng = residual(form)[0].SerializeToString(), random.Random(3)
    path = tmp_path / "net.onnx"
    n_refused = 0
    for _ in range(25):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 3))):
            changed[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(changed)
        try:
            read_model(path)
        except CompileError:
            n_refused += 1
    assert 0 < n_refused
