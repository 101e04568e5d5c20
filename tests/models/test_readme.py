# SPDX-License-Identifier: Apache-2.0
"""The tables of models/README.md against what is there."""

import re
from pathlib import Path

import pytest
import torch

from stemcore.models import registry
from stemcore.models.checkpoint import FOLDER, read_checkpoint
from stemcore.models.data import DATASETS

TEXT = (Path(registry.__file__).parent / "README.md").read_text()


def rows(heading):
    """Cells of the table below a heading, without its first two lines."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.medium
def test_networks_are_all_listed_with_their_sizes():
    with torch.device("meta"):
        wanted = {
            spec.name: (
                " x ".join(map(str, spec.input_shape)),
                f"{sum(p.numel() for p in spec.build().parameters()):,}",
            )
            for spec in registry.MODELS.values()
        }
    listed = {
        name: (row[1], row[3])
        for row in rows("Networks")
        for name in re.findall(r"`(\w+)`", row[0])
    }
    assert listed == wanted


def test_data_sets_are_all_listed():
    names = [name for row in rows("Data sets") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(names) == sorted(DATASETS)


@pytest.mark.medium
def test_weight_files_are_all_listed_with_the_figure_they_carry():
    listed = {(row[0].strip("`"), row[1].strip("`")): row for row in rows("Weights")}
    paths = sorted(FOLDER.glob("*.safetensors"))
    assert len(listed) == len(paths)
    for path in paths:
        _, metadata = read_checkpoint(path)
        row = listed[metadata["model"], metadata["dataset"]]
        assert row[2] == metadata.get("metric", "accuracy")
        figure = float(row[3].removesuffix(" %"))
        assert figure == pytest.approx(100 * metadata["test_accuracy"], abs=0.005)
        if registry.MODELS[metadata["model"]].relu_model:
            assert row[4] == "-"
        else:
            # What eight bits may cost.
            assert float(row[4].removesuffix(" %")) >= figure - 0.5
        assert int(row[5].replace(",", "")) == metadata["test_images"]
