# SPDX-License-Identifier: Apache-2.0
"""Same input, same bytes: whatever the seed of hashes, threads, working directory and locale."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 10)
    )
    module.input_shape = (1, 8, 8)
    module.input_range = "signed"
    return module
"""
SCRIPT = """
import sys

import numpy as np

import stemcore
from stemcore.runtime.commands.main import main

sys.path.insert(0, sys.argv[1])
from models import build

images = np.random.default_rng(0).integers(-127, 128, (40, 1, 8, 8)).astype(np.int8)
compiled = stemcore.compile(build().eval(), calibration=images, preset="tiny", name="net")
compiled.save("net")
compiled.run(images[:3], engine="program").save("results.npz")
compiled.verilog("verilog")
words = ["--model", f"{sys.argv[1]}/models.py:build", "--images", "3", "--accuracy-images", "20"]
sys.exit(main(["sim", *words, "--sim", "program", "--tables", "rd20"]))
"""
# Of a report what tells when, where and how fast it was made.
OF_THE_RUN = {"command", "started", "times", "machine"}
MACHINES = [
    {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "LC_ALL": "C", "PYTHONUTF8": "0"},
    {"PYTHONHASHSEED": "4242", "OMP_NUM_THREADS": "3", "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"},
]


def contents(folder):
    """Digests of everything that was made, by name; reports without what is of the run."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or path.name.startswith(".") or path.name == "report.html":
            continue
        data = path.read_bytes()
        if path.name == "report.json":
            report = json.loads(data)
            data = json.dumps({k: v for k, v in report.items() if k not in OF_THE_RUN}).encode()
        found[name] = hashlib.sha256(data).hexdigest()
    return found


PAGES = """
import time
from pathlib import Path

import numpy as np

time.perf_counter = lambda: 0.0  # a page says how long its run took
from stemcore.runtime.report_html import write_page
from tests.support.report_runs import hand_run, variant

hand = hand_run(np.random.default_rng(0))
for name in ("searched", "boxes", "golden"):
    folder = Path(name)
    folder.mkdir()
    write_page(folder, variant(name, hand, folder))
"""


@pytest.mark.medium
def test_pages_of_the_same_runs_are_the_same_bytes(tmp_path):
    made = []
    for number, variables in enumerate(MACHINES):
        folder = tmp_path / f"wörk {number}"
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", PAGES],
            cwd=folder,
            env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        pages = sorted(folder.rglob("*.html"))
        made.append({page.parent.name: page.read_bytes() for page in pages})
    assert set(made[0]) == {"searched", "boxes", "golden"}
    assert made[0] == made[1]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.sim
def test_programs_verilog_and_reports_are_the_same_bytes(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "models.py").write_text(MODEL)
    made = []
    for number, variables in enumerate(MACHINES):
        folder = tmp_path / f"wörk {number}"
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(model)],
            cwd=folder,
            env={**os.environ, **variables},
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        made.append(contents(folder))
    one, other = made
    assert set(one) == set(other)
    assert [name for name in one if one[name] != other[name]] == []
    for part in ("net/program/memories.npz", "verilog/node.v", "verilog/config.hex", "results.npz"):
        assert part in one
    assert sum(name.endswith("report.json") for name in one) == 1
