# SPDX-License-Identifier: Apache-2.0
"""Every run says what it was, whatever engine it ends with, and leaves all of it or nothing."""

import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from stemcore.golden.program.program_file import load_program
from stemcore.runtime.prepare import prepare
from stemcore.runtime.report import names
from stemcore.runtime.report.provenance import hash_program
from stemcore.runtime.report.schema import json_schema, read_report
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import simulate
from stemcore.runtime.toolchain.process import locked

# Fields that an engine has nothing for; everything else must be there and filled.
OF_CHIP = {
    "cores",
    "mesh",
    "lanes",
    "overflow_proved",
    "energy_memory",
    "estimate",
    "cycles_per_image",
}
OF_GATEWARE = {"simulation", "lane_utilisation", "steady_lane_utilisation", "overflow"}
NOT_ASKED = {f"settings.{name}" for name in ("data", "checkpoint", "cores", "mesh", "waves")} | {
    "settings.tables_by_layer",
    "fidelity.sqnr_db.input",  # digits of 17 levels lose nothing
}
NO_GATEWARE = {
    "settings.threads",
    "times.build",
    "times.simulate",
    "bit_exact.golden_rtl",
    "accuracy.rtl",
}
NO_CLOCK = {f"layers.{name}" for name in ("cycles", "update_cycles", "fire_cycles", "utilisation")}
NO_CHIP = {
    "hashes.program",
    "times.compile",
    "times.program",
    "times.estimate",
    "bit_exact.golden_program",
    "layers.cores",
    "layers.packets",
}
MEASURED = {f"cycles_per_image.{name}" for name in ("latency", "interval", "busiest_core")}


def nulls(value, name=""):
    """Full names of all fields that are null."""
    if value is None:
        return {name}
    if isinstance(value, dict):
        return set().union(*(nulls(v, f"{name}.{key}".lstrip(".")) for key, v in value.items()))
    if isinstance(value, list):
        return set().union(*(nulls(entry, name) for entry in value))
    return set()


@pytest.mark.parametrize(
    ("engine", "absent", "null"),
    [
        ("golden", OF_CHIP | OF_GATEWARE, NO_GATEWARE | NO_CLOCK | NO_CHIP),
        ("program", OF_GATEWARE, NO_GATEWARE | NO_CLOCK | MEASURED),
        pytest.param("verilator", set(), set(), marks=[pytest.mark.sim, pytest.mark.slow]),
    ],
)
def test_every_field_is_filled(engine, absent, null):
    result = simulate(Settings("digits_cnn"), n_images=2, engine=engine)
    report = read_report(result.folder)
    assert report == result.report
    # Of detectors, of networks whose end is the host's, where there is something to note, of
    # cores that take turns, and of boards.
    of_others = {"detections", "tail", "notes", "virtual_cores", "board"}
    fields = set(json_schema()["$defs"]["Report"]["properties"]) - of_others
    assert fields - set(report) == absent
    assert nulls(report) == null | NOT_ASKED
    assert report["settings"]["engine"] == engine
    assert report["times"]["total"] >= report["times"]["load"] + report["times"]["capture"] > 0
    if engine != "golden":
        program = load_program(result.folder / "program")
        assert report["hashes"]["program"] == hash_program(program)


def test_equal_hashes_are_equal_inputs():
    """Of two runs that differ in one setting, exactly what it changes differs."""
    plain = simulate(Settings("digits_cnn"), n_images=2, engine="program").report
    other = simulate(Settings("digits_cnn", bits=6), n_images=2, engine="program").report
    more = simulate(Settings("digits_cnn"), n_images=3, engine="program").report
    same = {key for key in plain["hashes"] if plain["hashes"][key] == other["hashes"][key]}
    assert same == {"weights", "data", "calibration"}
    assert {k for k in plain["hashes"] if plain["hashes"][k] != more["hashes"][k]} == {"data"}
    assert (plain["settings"]["bits"], other["settings"]["bits"]) == (8, 6)


def test_runs_of_other_engines_and_images_stay_side_by_side():
    folders = {
        simulate(Settings("digits_cnn"), n_images=n, engine=engine).folder
        for engine, n in (("program", 2), ("program", 1), ("golden", 1))
    }
    (folder,) = folders
    assert folder == names.output_folder(Settings("digits_cnn"))
    assert read_report(folder)["settings"]["engine"] == "golden"
    # A golden run has no program: none of another run stands beside its report.
    assert not (folder / "program").exists()
    for name, n in (("program-images2", 2), ("program-images1", 1)):
        kept = read_report(folder / "earlier" / name)
        assert (kept["settings"]["engine"], kept["images"]) == ("program", n)
        load_program(folder / "earlier" / name / "program")


def test_command_is_in_the_report():
    words = ["stemcore", "sim", "--model", "digits_cnn", "--images", "1"]
    report = simulate(Settings("digits_cnn"), n_images=1, engine="golden", command=words).report
    assert report["command"] == words


def test_a_run_that_fails_leaves_no_report(monkeypatch):
    settings = Settings("digits_cnn", bits=5)
    folder = simulate(settings, n_images=1, engine="program").folder

    def fail(*arguments, **options):
        raise ValueError("the page cannot be made")

    monkeypatch.setattr("stemcore.runtime.simulate.write_page", fail)
    with pytest.raises(ValueError, match=r"^the page cannot be made$"):
        simulate(settings, n_images=1, engine="program")
    left = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert left == {"compiled", "earlier"}  # what the compiler kept is whole and no result
    assert read_report(folder / "earlier" / "program-images1")["images"] == 1


def interrupted(tmp_path, number, words):
    """A run in a process of its own that gets a signal while its engines run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stemcore", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("run"):
            process.send_signal(number)
            break
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_commands_wait_for_each_other_at_the_compilers_folder(monkeypatch):
    """`check` and `sim` of one model, started together: neither reads what the other half wrote."""
    settings = Settings("digits_cnn", bits=4)
    folder = names.compile_folder(settings)
    compiled, at_the_lock = [], threading.Event()

    @contextmanager
    def telling(path):
        at_the_lock.set()
        with locked(path):
            yield

    monkeypatch.setattr("stemcore.runtime.compile_folder.locked", telling)
    with locked(folder.with_name(".compiled.lock")):
        thread = threading.Thread(target=lambda: compiled.append(prepare(settings, folder=folder)))
        thread.start()
        assert at_the_lock.wait(timeout=60)
        thread.join(timeout=1)  # the whole compilation takes less
        assert thread.is_alive()
        assert not folder.exists()
    thread.join(timeout=120)
    assert compiled[0].network.layers
    assert folder.is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_run_leaves_nothing_that_looks_like_a_result(
    tmp_path, monkeypatch, number, status
):
    monkeypatch.chdir(tmp_path)
    settings = Settings("digits_cnn")
    folder = simulate(settings, n_images=360, engine="program").folder
    before = read_report(folder)
    words = ["sim", "--model", "digits_cnn", "--sim", "program", "--images", "360"]
    ended, errors = interrupted(tmp_path, number, words)
    assert ended == status, errors
    shown = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert shown == {"compiled", "earlier"}
    assert read_report(folder / "earlier" / "program-images360") == before
    # The next one neither waits nor finds anything of it.
    said = []
    after = simulate(settings, n_images=360, engine="program", say=said.append)
    assert not any(line.startswith("wait") for line in said)
    assert {path.name for path in after.folder.iterdir()} == {
        ".compiled.lock",
        ".lock",
        ".name",
        "compiled",
        "program",
        "quantized.npz",
        "report.html",
        "report.json",
    }
    assert after.report["hashes"] == before["hashes"]
