# SPDX-License-Identifier: Apache-2.0
"""The registry: one file is one engine, other packages bring theirs, mistakes are told in time."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import stemcore.runtime.commands.main as cli
import stemcore.runtime.engines as package
from stemcore.golden.network.forward import run_network
from stemcore.runtime import simulate as sim
from stemcore.runtime.engines.engine import Feature
from stemcore.runtime.engines.registry import (
    describe_engines,
    engine_names,
    engines,
    engines_with,
    get_engine,
)
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.settings import Settings
from tests.support.hand_programs import dense_program
from tests.support.random_networks import random_images

ENGINE_FILE = Path(__file__).parents[2] / "support" / "replay_engine.py"


@pytest.fixture
def forget(monkeypatch):
    """Modules that a test imports are gone after it."""
    before = set(sys.modules)
    yield monkeypatch
    for name in set(sys.modules) - before:
        if name.split(".")[-1] in ("replay", "two", "foreign_engines"):
            del sys.modules[name]


@pytest.fixture
def beside_ours(forget, tmp_path):
    """A folder whose files count as files of the package of engines."""
    forget.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    return tmp_path


@pytest.fixture
def installed(forget, tmp_path):
    """Installs, for one test, a distribution with an entry point and the module that it names."""

    def install(name, value, text=None):
        (tmp_path / "foreign_engines.py").write_text(text or ENGINE_FILE.read_text())
        info = tmp_path / "foreign-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[stemcore.engines]\n{name} = {value}\n")
        forget.syspath_prepend(tmp_path)

    return install


def check_that_it_runs(rng):
    program, network = dense_program(2)
    images = random_images(rng, network, 2)
    result = run_engine("replay", program, images)
    assert result.engine == "replay"
    np.testing.assert_array_equal(result.outputs, run_network(network, images)[program.output])


def test_one_file_is_an_engine(beside_ours, rng, capsys):
    assert "replay" not in engine_names()
    shutil.copy(ENGINE_FILE, beside_ours / "replay.py")
    assert {"replay", "again"} <= set(engine_names())
    assert get_engine("again") is not None and get_engine("again").name == "replay"
    assert "replay, also again (the program's values, twice)" in describe_engines()
    check_that_it_runs(rng)
    with pytest.raises(SystemExit):
        cli.main(["sim", "--help"])
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "replay, also again (the program's values, twice)" in shown
    assert re.search(r"--sim \{[^}]*replay[^}]*\}", shown)


@pytest.mark.slow
def test_one_file_is_simulated_and_compared(beside_ours, tmp_path, monkeypatch):
    shutil.copy(ENGINE_FILE, beside_ours / "replay.py")
    monkeypatch.chdir(tmp_path)
    result = sim.simulate(Settings("digits_cnn"), n_images=2, engine="again", accuracy_images=20)
    assert result.report["bit_exact"]["golden_rtl"] is True
    assert not result.differences


NETWORK_ENGINE = """
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT
from stemcore.runtime.engines.engine import NetworkEngine
from stemcore.runtime.engines.result import RunResult

class Faulty(NetworkEngine):
    name = "faulty"
    summary = "golden, but for one neuron"

    def run(self, network, params, images, *, options):
        values = run_network(network, images, acc_width=params.acc_width)
        del values[INPUT]
        output = values[network.output.name]
        output[1, 3] ^= 1
        return RunResult(engine=self.name, outputs=output, values=values)
"""


@pytest.mark.medium
def test_engine_of_networks_runs_and_is_compared(beside_ours, tmp_path, monkeypatch):
    (beside_ours / "faulty.py").write_text(NETWORK_ENGINE)
    monkeypatch.chdir(tmp_path)
    result = sim.simulate(Settings("digits_cnn"), n_images=2, engine="faulty", accuracy_images=20)
    report = result.report
    assert report["settings"]["engine"] == "faulty"
    assert report["bit_exact"] == {
        "torch_golden": True,
        "golden_program": None,
        "golden_rtl": False,
    }
    (difference,) = result.differences
    assert difference.startswith("layers.9: image 1, neuron (channel 3, row 0, column 0), time st")
    assert "faulty has" in difference
    assert (result.folder / "report.html").is_file()


def test_engine_of_another_package_is_found(installed, rng):
    installed("replay", "foreign_engines:Replay")
    assert "replay" in engines()
    check_that_it_runs(rng)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("replay", "foreign_engines:Missing", "AttributeError: "),
        ("replay", "foreign_engines:run_program", "TypeError: must be a subclass of Program"),
        ("other", "foreign_engines:Replay", "ValueError: the entry point must have the engine's"),
        ("other", "no_such_module_here:Replay", "ModuleNotFoundError: "),
    ],
)
def test_engine_that_cannot_be_used_hurts_those_alone_who_ask_for_it(
    installed, name, value, reason
):
    before = engines().keys()
    installed(name, value)
    assert engines().keys() == before
    assert name in engine_names()
    message = rf"^engine '{name}' cannot be used: {value} of foreign: {reason}"
    with pytest.raises(ValueError, match=message):
        get_engine(name)
    assert cli.main(["sim", "--model", "digits_cnn", "--sim", name]) == 2


def test_name_that_is_taken_stays_with_its_engine(installed):
    text = ENGINE_FILE.read_text().replace('"replay"', '"program"')
    installed("program", "foreign_engines:Replay", text)
    with pytest.warns(UserWarning, match=r"^engine 'program': ignored: .*its name must be its own"):
        engine = get_engine("program")
    assert type(engine).__module__ == "stemcore.runtime.engines.program"


def test_two_engines_in_a_file_are_refused(beside_ours):
    text = ENGINE_FILE.read_text() + "\n\nclass Second(Replay):\n    name = 'second'\n"
    (beside_ours / "two.py").write_text(text)
    with pytest.raises(ValueError, match=r"two: one file must hold one engine, got Replay, Sec"):
        engines()


@pytest.mark.parametrize("name", ["Replay", "re play", ""])
def test_name_that_nobody_can_say_is_refused(beside_ours, name):
    text = ENGINE_FILE.read_text().replace('"replay"', f'"{name}"')
    (beside_ours / "two.py").write_text(text)
    with pytest.raises(ValueError, match=rf"^Replay: a name of an engine must be .*'{name}'$"):
        engines()


def test_unknown_engine_is_told_the_names():
    message = rf"^engine: must be one of {', '.join(engine_names())}; got 'questa'$"
    with pytest.raises(ValueError, match=message):
        get_engine("questa")


def test_alias_means_its_engine():
    assert get_engine("rtl").name == "verilator"


@pytest.mark.parametrize("name", sorted(engines()))
def test_option_that_an_engine_lacks_is_refused_before_it_runs(name, tmp_path):
    engine = engines()[name]
    options = {
        Feature.WAVES: {"waves_dir": tmp_path},
        Feature.THREADS: {"threads": 2},
        Feature.PORT: {"port": "/dev/ttyUSB0"},
    }
    for feature, option in options.items():
        if feature in engine.features:
            continue
        able = " or ".join(engines_with(feature))
        message = rf"^{feature}: engine '{name}' has none; leave the option out, or choose {able}$"
        with pytest.raises(ValueError, match=message):
            run_engine(engine, None, np.zeros(0, np.int64), **option)


def test_an_engine_on_a_board_is_told_where_that_is():
    with pytest.raises(ValueError, match=r"^port: engine 'fpga' must be told .*/dev/ttyUSB0"):
        run_engine("fpga", None, np.zeros(0, np.int64))


def test_nodes_of_waves_come_with_a_folder():
    with pytest.raises(ValueError, match=r"^waves_nodes: must come with waves_dir"):
        run_engine("verilator", None, np.zeros(0, np.int64), waves_nodes=[(0, 1)])


@pytest.mark.parametrize(
    ("option", "words"),
    [("waves", ["--waves", "1"]), ("threads", ["--threads", "2"]), ("port", ["--port", "/dev/x"])],
)
def test_command_refuses_an_option_before_any_work(option, words, monkeypatch, capsys):
    monkeypatch.setattr(sim, "prepare", lambda *_, **__: pytest.fail("work has begun"))
    assert cli.main(["sim", "--model", "digits_cnn", "--sim", "program", *words]) == 2
    message = f"error: {option}: engine 'program' has none; leave the option out, or choose "
    assert capsys.readouterr().err.startswith(message)
