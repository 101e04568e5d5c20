# SPDX-License-Identifier: Apache-2.0
"""`make tables`: rows from figures, figures from cached runs, documents from rows."""

import dataclasses
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

import stemcore.benchmarks.tables.subjects as subjects
from stemcore.benchmarks.tables import published, score, sizes
from stemcore.benchmarks.tables.build import TABLES, Row, Table
from stemcore.benchmarks.tables.page import tables_page
from stemcore.benchmarks.tables.score import binomial_error, change_error, scored
from stemcore.benchmarks.tables.subjects import Subject, cached, digest, find_subjects
from stemcore.benchmarks.tables.write import text_of
from stemcore.compiler.errors import CompileError
from stemcore.golden.network.forward import n_sops, run_network
from stemcore.models.data.boxes import BoxDataset, Objects
from stemcore.models.detection import Detections
from stemcore.models.errors import DataError
from stemcore.models.registry import MODELS
from stemcore.runtime.chip_estimate import estimate_chip
from stemcore.runtime.commands.main import main
from stemcore.runtime.prepare import prepare
from stemcore.runtime.prepared import finish
from stemcore.runtime.report import accuracy
from stemcore.runtime.report.energy import PARTS
from stemcore.runtime.settings import Settings


def made_up(score, right="1010"):
    return {"score": score, "error": 0.5, "right": right}


class MadeUp:
    """A network whose figures are easy to follow."""

    model, dataset, name = "tiny_vgg", "cifar10", "tiny_vgg on cifar10"

    def plain(self):
        return {
            "float": made_up(90.0),
            "quantized": made_up(89.0),
            **made_up(89.0, "1101"),
            "equal": True,
            "macs": 2e6,
            "parameters": 3_000_000,
            "metric": "accuracy",
            "images": 10,
            "sops": 4e6,
            "spikes": 9.0,
            "provenance": "made up",
        }

    def with_table(self, name):
        return {**made_up(88.0 - int(name[-1]), "1110"), "sops": 3e6, "spikes": 5.0}

    def integrated(self, mode):
        return made_up({"scaled": 80.0, "late": 81.0}[mode])

    def profile(self, profile):
        return {**made_up(87.0), "bias": ["8 bits"]}

    def codes(self):
        return {
            code: {**made_up(50.0), "images": 200, "sops": {"a": 1e6, "b": 2e6}}
            for code in ("STEM", "direct", "position")
        }

    def trained_codes(self):
        whole = {"score": 41.5, "images": 5000}
        forms = {
            code: {
                **made_up(score),
                "images": 200,
                "sops": {"a": sops, "b": 2e6},
                "epochs": 3,
                "all": whole,
            }
            for code, score, sops in (("direct", 40.0, 4e6), ("position", 30.0, 3e6))
        }
        return {"STEM": {"epochs": 5, "all": {**whole, "score": 52.5}}, **forms}

    def searched(self):
        test = {"accuracy": 0.8, "loss_error": 0.002, "sops": 50.0}
        return {
            "none": {"test": {"accuracy": 0.81, "loss_error": 0.0, "sops": 100.0}},
            "images": {"test": 20},
            "chosen": {"hybrid": {"test": test}, "rd": {"test": test}},
        }


class Unsearched(MadeUp):
    model, name = "digits_cnn", "digits_cnn on digits"
    dataset = "digits"

    def trained_codes(self):
        return {}

    def searched(self):
        return None


def figures(number, subject=None):
    table = TABLES[number]([subject or MadeUp()])
    return {row.what: (row.ours, row.paper) for row in table.rows}


def test_training_for_few_spikes_is_compared_with_the_network_that_it_began_with():
    class Sparse(MadeUp):
        model, name = "tiny_vgg_sparse", "tiny_vgg_sparse on cifar10"

        def plain(self):
            return {**super().plain(), **made_up(89.5, "1111"), "sops": 2e6}

        def with_table(self, name):
            return {**made_up(88.75, "1101"), "sops": 1e6}

    rows = TABLES["spikes"]([MadeUp(), Sparse()]).rows
    found = {(row.subject, row.what): (row.ours, row.error) for row in rows}
    assert len(rows) == len(found) == 24
    dense, sparse = "tiny_vgg on cifar10", "tiny_vgg_sparse on cifar10"
    assert found[dense, "none: points of accuracy"] == (0.0, 0.0)
    assert found[dense, "none: % of SOPs"] == (0.0, None)
    assert found[dense, "rd20: % of SOPs"] == (-25.0, None)
    assert found[sparse, "none: points of accuracy"] == (0.5, pytest.approx(100 * 0.1875**0.5 / 2))
    assert found[sparse, "none: % of SOPs"] == (-50.0, None)
    assert found[sparse, "rd160: points of accuracy"] == (-0.25, 0.0)
    assert found[sparse, "rd160: % of SOPs"] == (-75.0, None)
    for alone in ([MadeUp()], [Sparse()], [Sparse(), Unsearched()]):
        assert not TABLES["spikes"](alone).rows


def test_conversion_compares_torch_and_spikes():
    assert figures("II") == {
        "quantized network (torch)": (89.0, 92.87),
        "in spikes, T = 8 (golden)": (89.0, 92.87),
    }


def test_integration_has_the_paper_beside_its_own_mode_alone():
    rows = figures("III")
    assert rows["quantized, scaled integration"] == (80.0, None)
    assert rows["quantized, late integration"] == (81.0, None)
    assert published.VGG16 not in published.SCALED

    class Residual(MadeUp):
        model = "resnet18_cifar"

    rows = figures("III", Residual())
    assert rows["float"] == (90.0, 93.26)
    assert rows["quantized, scaled integration"] == (80.0, 93.01)
    assert rows["quantized, late integration"] == (81.0, None)


def test_tables_are_changes_against_no_tables():
    assert figures("IV") == {"rot1": (-2.0, -0.44), "rot2": (-3.0, -0.59), "rot3": (-4.0, -2.51)}
    assert figures("V")["rot1"] == (-25.0, -18.52)
    assert figures("VI") == {"drlo4": (-5.0, -0.10), "drlo3": (-4.0, -0.02), "drlo2": (-3.0, -0.79)}
    assert figures("VII")["drlo2"] == (-25.0, -16.24)


def test_search_is_read_or_asked_for():
    rows = figures("VIII")
    assert rows["hybrid: points of accuracy"][0] == pytest.approx(-1.0)
    assert rows["rd: % of SOPs"] == (pytest.approx(-50.0), None)
    (row,) = TABLES["VIII"]([Unsearched()]).rows
    assert row.why == "run `make sparsify MODEL=digits_cnn DATASET=digits`"

    class Detector(Unsearched):
        def plain(self):
            return {**super().plain(), "metric": "mAP@0.5"}

    (row,) = TABLES["VIII"]([Detector()]).rows
    assert (row.ours, row.why) == (None, "it counts right answers")


def test_energy_is_the_papers_model():
    assert figures("IX") == {
        "ANN, 2.00M MACs": (pytest.approx(0.46), None),
        "spikes, 4.00M SOPs": (pytest.approx(0.12), None),
    }


def test_hardware_compares_with_the_best_on_the_same_data():
    rows = TABLES["I"]([MadeUp()]).rows
    assert (rows[0].ours, rows[0].paper) == (89.0, 77.40)
    assert len(rows) == 1 + len(published.HARDWARE)


def test_codes_count_hidden_layers():
    assert figures("12")["direct: SOPs of hidden layers, M"] == (3.0, None)


def test_trained_codes_stand_beside_stem_layer_by_layer_and_in_all():
    class Paper(MadeUp):
        model = "cifar10net_w64"

    assert figures("12a", Paper()) == {
        "a: STEM": (1.0, None),
        "a: direct": (4.0, None),
        "a: position": (3.0, None),
        "b: STEM": (2.0, None),
        "b: direct": (2.0, None),
        "b: position": (2.0, None),
    }
    rows = {row.what: row for row in TABLES["12b"]([Paper()]).rows}
    assert {what: (row.ours, row.paper) for what, row in rows.items()} == {
        "STEM: accuracy, %": (50.0, 91.93),
        "STEM: SOPs of hidden layers, M": (3.0, None),
        "direct: accuracy, %": (40.0, None),
        "direct: SOPs of hidden layers, M": (6.0, None),
        "position: accuracy, %": (30.0, None),
        "position: SOPs of hidden layers, M": (5.0, None),
    }
    assert rows["STEM: accuracy, %"].why.startswith(
        "5 epochs; in float 52.50 % of 5000 test images; 64 channels instead of 256"
    )
    assert rows["direct: accuracy, %"].why == (
        "3 epochs; in float 41.50 % of 5000 test images; the paper's figure is a chart, its text "
        "has no number"
    )
    assert rows["direct: SOPs of hidden layers, M"].why.endswith("no number; STEM's -50.0 %")
    assert rows["STEM: SOPs of hidden layers, M"].why.endswith("no number")
    for number in ("12a", "12b"):
        assert TABLES[number]([Unsearched()]).rows == ()


def test_a_network_without_a_form_has_a_row_that_says_why():
    class Other(MadeUp):
        def integrated(self, mode):
            raise CompileError("conv", "sums need 17 bits")

        def codes(self):
            raise ValueError("conv: direct coding has no negative spikes; use ReLU")

    (row,) = TABLES["12"]([Other()]).rows
    assert row.why == "has none: conv: direct coding has no negative spikes; use ReLU"
    rows = {row.what: row for row in TABLES["III"]([Other()]).rows}
    assert rows["quantized, scaled integration"].why == "has none: conv: sums need 17 bits"
    assert rows["float"].ours == 90.0


def test_rows_state_the_difference_in_both_forms():
    rows = (Row("net", "a", 1.5, 1.0, "why"), Row("net", "b", 2.0, None, "none"))
    table = Table("X", "Title", "%", "Note.", rows)
    assert [row["difference"] for row in table.to_dict()["rows"]] == [0.5, None]
    lines = table.to_markdown().splitlines()
    assert lines[0] == "## X. Title"
    assert lines[-2] == "| net | a | 1.50 | - | - | 1.00 | +0.50 | why |"
    assert lines[-1] == "| net | b | 2.00 | - | - | - | - | none |"


def test_an_accuracy_says_of_how_many_images_it_is_and_what_chance_explains():
    (row, _) = TABLES["II"]([MadeUp()]).rows
    assert (row.images, row.error) == (10, 0.5)
    table = Table("X", "Title", "%", "Note.", (dataclasses.replace(row, why="why"),))
    line = table.to_markdown().splitlines()[-1]
    assert line.endswith("| quantized network (torch) | 89.00 | 0.50 | 10 | 92.87 | -3.87 | why |")


def test_a_difference_stands_where_data_split_and_task_are_the_same():
    class Digits(MadeUp):
        model, dataset, name = "tiny_yolo", "digit_boxes", "tiny_yolo on digit_boxes"

    for number in ("II", "III", "IV", "V", "VI", "VII"):
        rows = TABLES[number]([Digits()]).rows
        assert any(row.paper is not None for row in rows)
        assert all(row.difference is None for row in rows)
        assert any(row.difference is not None for row in TABLES[number]([MadeUp()]).rows) or (
            number == "III"  # the paper has no scaled integration of this one's counterpart
        )


def test_errors_of_an_accuracy_and_of_a_change():
    outputs = np.eye(4)[[0, 1, 2, 3, 0]]
    data = SimpleNamespace(test_labels=np.array([0, 1, 2, 0, 1]))
    assert scored(data, outputs) == {
        "score": pytest.approx(60.0),
        "error": pytest.approx(100 * np.sqrt(0.6 * 0.4 / 5)),
        "right": "11100",
    }
    # One gained, one lost of five: squares of 1 and 1, mean 0.
    change = change_error({"right": "11100"}, {"right": "11010"})
    assert change == pytest.approx(100 * np.sqrt(2 / 5) / np.sqrt(5))
    assert change_error({"right": "1"}, {"right": "1"}) == 0
    assert change_error({"right": None}, {"right": "1"}) is None
    assert binomial_error(100.0, 3) == binomial_error(0.0, 3) == 0


def test_document_names_what_is_missing():
    text = text_of([], [MadeUp()], ["other on voc: no folder"])
    assert "* left out, other on voc: no folder" in text
    assert "without trained weights, so without rows: digits_cnn," in text


@pytest.mark.medium
def test_error_of_a_map_is_that_of_drawing_the_images_again(monkeypatch):
    pytest.importorskip("pycocotools", reason="mAP needs the extra detect")
    boxes = np.tile(np.float32([[4, 4, 12, 12]]), (8, 1, 1))
    objects = Objects(boxes, np.zeros((8, 1), np.int64), np.zeros((8, 1), bool))
    data = BoxDataset(
        "made",
        *(np.zeros((8, 1, 16, 16), np.uint8), objects) * 2,
        ("thing",),
        "made up",
    )

    def half(outputs, size):
        none = np.zeros(0)
        found = Detections(boxes[0], np.ones(1), np.zeros(1, np.int64))
        missed = Detections(np.zeros((0, 4), np.float32), none, none.astype(np.int64))
        return [found if one else missed for one in outputs]

    monkeypatch.setattr(score, "detect", half)
    monkeypatch.setattr(accuracy, "detect", half)
    found = scored(data, np.array([1, 0] * 4))
    # Half of the objects are found, always rightly: precision 1 up to recall 1/2, of which 101
    # points hold 51; drawn again, the share deviates by half over the root of eight.
    assert found["score"] == pytest.approx(100 * 51 / 101)
    assert found["error"] == pytest.approx(50 / np.sqrt(8), rel=0.2)
    assert found["right"] is None
    assert scored(data, np.ones(8))["error"] == 0


@dataclasses.dataclass(frozen=True)
class Pair:
    a: np.ndarray
    b: tuple


def test_digest_follows_contents():
    base = Pair(np.arange(6).reshape(2, 3), (1, "x", None))
    same = Pair(np.arange(6).reshape(2, 3), (1, "x", None))
    assert digest(base) == digest(same)
    others = [
        Pair(np.arange(6).reshape(3, 2), (1, "x", None)),
        Pair(base.a + 1, base.b),
        Pair(base.a.astype(np.int32), base.b),
        Pair(base.a, (1, "y", None)),
        Pair(base.a, (1, ("x", None))),
        [base, base],
        {"k": base},
    ]
    assert len({digest(other) for other in [base, *others]}) == 1 + len(others)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_cached_runs_once_per_input(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    calls = []

    def run():
        calls.append(1)
        return {"n": len(calls)}

    asked = [("a", 1), ("a", 1), ("b", 1), ("a", 2)]
    assert [cached(*what, run)["n"] for what in asked] == [1, 1, 2, 3]
    assert capsys.readouterr().out.splitlines() == ["  a", "  b", "  a"]


def test_subjects_are_the_weight_files_of_registered_models(tmp_path, monkeypatch):
    for name in (
        "digits_cnn-digits",
        "tiny_vgg-cifar10",
        "other-digits",
        "cifar10net_w64_direct-digits",
    ):
        (tmp_path / f"{name}.safetensors").write_bytes(b"")
    monkeypatch.setattr(subjects.checkpoint, "FOLDER", tmp_path)
    found = find_subjects(7)
    assert [(s.model, s.dataset, s.n_images) for s in found] == [
        ("digits_cnn", "digits", 7),
        ("tiny_vgg", "cifar10", 7),
    ]


@pytest.mark.slow
def test_figures_are_of_the_networks_layers_alone(tmp_path, monkeypatch):
    # On a chip its residual connections pass through skip buffers, which are no layers of the
    # network.
    monkeypatch.chdir(tmp_path)
    subject = Subject("resnet18_cifar", "digits", 3)
    names = [layer.name for layer in subject.prepared.quantized.network.layers]
    assert [layer.name for layer in subject.network.layers] == names
    assert names != [layer.name for layer in subject.prepared.network.layers]
    plain, rot, late = subject.plain(), subject.with_table("rot2"), subject.integrated("late")
    values = run_network(subject.network, subject.images)
    sops = n_sops(subject.network, values)
    assert plain["sops"] == pytest.approx(sum(n.mean() for n in sops.values()))
    assert plain["equal"] is True
    assert 0 < rot["sops"] < plain["sops"]
    assert 0 <= late["score"] <= 100
    for code in subject.codes().values():
        assert list(code["sops"]) == names[1:-1]


@pytest.mark.slow
def test_tables_of_a_trained_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sim_build" / "tables"
    assert main(["tables", "--model", "digits_cnn", "--images", "40"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {folder / 'tables.md'}"
    tables = json.loads((folder / "tables.json").read_text())["tables"]
    assert [table["number"] for table in tables][:4] == ["I", "II", "III", "IV"]
    assert len(tables) == len(TABLES)
    torch, golden = tables[1]["rows"]
    assert torch["ours"] == golden["ours"] >= 95
    assert golden["why"].startswith("every output equal; ")
    assert (golden["images"], golden["error"]) == (40, torch["error"])
    rot = [row["ours"] for row in tables[4]["rows"]]
    assert 0 > rot[0] > rot[1] > rot[2]
    stored = sorted(folder.glob("cache/*.json"))
    assert main(["tables", "--model", "digits_cnn", "--images", "40"]) == 0
    assert sorted(folder.glob("cache/*.json")) == stored


SIZED = {
    "dataset": "digits",
    "preset": "large",
    "macs": 2_000_000,
    "parameters": 36_700_000,
    "neurons": 1000,
    "cores": 3,
    "mesh": "2 x 2",
    "memory_bits": 2**23,
    "weight_bits": 2**22,
    "latency": 5e6,
    "interval": 1e6,
    "sops": 3e6,
}


def test_sizes_stand_beside_the_papers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sizes, "measured", lambda name: SIZED)
    table, missing = sizes.sizes(["cifar10net"])
    rows = {row.what: row for row in table.rows}
    assert (rows["parameters, millions"].ours, rows["parameters, millions"].paper) == (36.7, 36.7)
    assert (rows["MACs, millions"].ours, rows["MACs, millions"].paper) == (2.0, 1700.0)
    assert rows["memory in use, MiB"].ours == 1.0
    assert rows["weights, MiB"].ours == 0.5
    assert rows["images equal on the RTL"].ours is None
    assert "make sim MODEL=cifar10net IMAGES=1" in rows["images equal on the RTL"].why
    assert missing == []


@pytest.mark.parametrize(("exact", "n_equal"), [(True, 4), (False, 0)])
def test_sizes_have_the_run_on_the_gateware_that_is_there(tmp_path, monkeypatch, exact, n_equal):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sizes, "measured", lambda name: SIZED)
    path = tmp_path / "sim_build" / "resnet18-digits" / "report.json"
    path.parent.mkdir(parents=True)
    report = {
        "bit_exact": {"golden_rtl": exact},
        "images": 4,
        "cycles_per_image": {"latency": 7e6},
        "differences": ["fc: wrong"],
    }
    path.write_text(json.dumps(report))
    row = sizes.sizes(["resnet18"])[0].rows[-1]
    assert row.ours == n_equal
    assert row.why == (
        "latency 7,000,000 cycles, `make sim MODEL=resnet18 IMAGES=1`"
        if exact
        else "DIFFERENT: fc: wrong"
    )


def test_sizes_of_a_network_without_its_data_are_left_out(monkeypatch):
    def measured(name):
        raise DataError("voc: no folder")

    monkeypatch.setattr(sizes, "measured", measured)
    table, missing = sizes.sizes(["yolo_resnet34"])
    assert table.rows == ()
    assert missing == ["yolo_resnet34: voc: no folder"]


@pytest.mark.slow
def test_sizes_are_those_of_the_estimate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = sizes.measured("digits_cnn")
    compiled = finish(prepare(Settings("digits_cnn"), n_train=512, n_test=1))
    chip = estimate_chip(compiled.program, compiled.activity)
    assert (found["macs"], found["cores"], found["neurons"]) == (
        chip.macs,
        chip.n_cores,
        chip.neurons,
    )
    assert (found["latency"], found["interval"]) == (chip.latency, chip.interval)
    assert 0 < found["weight_bits"] < found["memory_bits"]


def test_networks_of_the_papers_size_are_registered_and_untrained():
    trained = {subject.model for subject in find_subjects(1)}
    assert set(sizes.NETWORKS) <= set(MODELS)
    assert not trained & set(sizes.NETWORKS)


def test_page_plots_accuracy_energy_and_cycles():
    tables = [TABLES[number]([MadeUp()]) for number in ("II", "IV", "V", "VI", "VII")]
    report = {
        "energy_memory": {"parts": dict.fromkeys(PARTS, 1.5) | {"weights": 3.0}},
        "layers": [{"name": "fc <1>", "cycles": 4200.0}, {"name": "fc2", "cycles": 2100.0}],
    }
    page = tables_page(tables, {"tiny_vgg on cifar10": report}, ["other: <none>"])
    assert page.count("<circle") == 6 + 1  # tables of two schemes, and the legend
    assert "weight memory" in page
    assert 'width:50.0%"' in page
    assert "fc &lt;1&gt;" in page
    assert "other: &lt;none&gt;" in page
    assert page.count("<section") == 3 + len(tables) + 1


def test_page_says_what_is_missing():
    page = tables_page([TABLES["II"]([MadeUp()])], {}, [])
    assert page.count('class="missing"') == 3
    without_clock = {"layers": [{"name": "fc", "cycles": None}]}
    assert tables_page([], {"a": without_clock}, []).count('class="missing"') == 3


@pytest.mark.slow
def test_tables_of_weights_that_are_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = subjects.checkpoint.checkpoint_path("digits_cnn", "digits")
    copy = tmp_path / "other.safetensors"
    copy.write_bytes(weights.read_bytes())
    words = ["--model", "digits_cnn", "--dataset", "digits", "--checkpoint", str(copy)]
    assert main(["tables", *words, "--only", "II", "--images", "30"]) == 0
    (table,) = json.loads((tmp_path / "sim_build/tables/tables.json").read_text())["tables"]
    assert [row["ours"] >= 90 for row in table["rows"]] == [True, True]
    assert [row["images"] for row in table["rows"]] == [30, 30]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "tiny_vg"], r"error: model: must be a .*, got 'tiny_vg'; did you mean tiny_v"),
        (["--model", "ds_cnn"], r"error: model: must be a network with trained weights, one of .*"),
        (["--only", "X"], r"error: only: must be of I, II, .*, got X"),
        (
            ["--dataset", "digits"],
            r"error: dataset: must come with --checkpoint, .* got digits alone",
        ),
        (["--checkpoint", "w.safetensors"], r"error: model: must be one name .*, got none"),
        (
            ["--checkpoint", "w.safetensors", "--model", "tiny_yolo", "--dataset", "digits"],
            r"error: tiny_yolo: needs images with boxes",
        ),
        (["--images", "0"], r"error: images: must be at least 1, got 0"),
    ],
)
def test_what_no_table_can_show_is_refused(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["tables", *words]) == 2
    assert re.match(message, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []
