# SPDX-License-Identifier: Apache-2.0
"""A folder of its own for every choice of model, data and settings.

``<model>-<data set>[-<setting>..]``: settings in the order of :func:`changed_settings`, each only
where it is not the default, so that the default run is found under its model and data set alone.
Names of files and folders end in a hash of the resolved path: two that are called alike do not
meet. How much of a model is run (images, engine, threads, waves) does not change the folder; see
:mod:`stemcore.runtime.report.run_folder`.
"""

import json
from pathlib import Path

from stemcore.compiler.quantization.bias import DEFAULT_FORMAT
from stemcore.compiler.quantization.calibration import parse_method
from stemcore.compiler.quantization.layer_bits import DEFAULT_BITS, LayerBits, bits_in_words
from stemcore.compiler.quantization.quantized import EXACT
from stemcore.compiler.sparsity.tables import NONE, read_tables
from stemcore.folders import results
from stemcore.golden.spec.presets import get_preset
from stemcore.models.checkpoint import checkpoint_path
from stemcore.models.data.identity import LONGEST, path_name, with_hash

from ..own_model import is_own_file, is_own_model
from ..settings import Settings, default_preset, preset_name


def output_folder(settings: Settings) -> Path:
    """Folder of the results of these settings."""
    return results() / run_name(settings)


def compile_folder(settings: Settings) -> Path:
    """Where the compiler keeps what it made of these settings, for all commands."""
    return output_folder(settings) / "compiled"


def run_name(settings: Settings) -> str:
    """Name of that folder: equal only where model, data and all settings are.

    Raises what reading a file of tables raises.
    """
    return "-".join([model_name(settings.model), settings.data_name, *changed_settings(settings)])


def model_name(model: str) -> str:
    """The registered name; ``file.function.<hash>`` or ``archive.<hash>`` of a user's model."""
    if not is_own_model(model):
        return model
    if is_own_file(model):
        path, function = Path(model), ""
        name = path.stem
    else:
        text, _, function = model.rpartition(":")
        path = Path(text)
        name = f"{path.stem}.{function}"
    return with_hash(name, f"{path.resolve()}:{function}")


def changed_settings(settings: Settings) -> list[str]:
    """What is not as by default, in a fixed order; no value can be taken for another's."""
    preset = preset_name(settings)
    by_preset = get_preset(preset).integration
    usual_bias = DEFAULT_FORMAT.get(settings.profile)
    parts = [
        _unless(settings.integration or by_preset, by_preset),
        _bits_name("bits", settings.bits),
        _bits_name("weightbits", settings.weight_bits),
        _tables_name(settings.tables),
        _unless(settings.profile, EXACT),
        _unless(settings.bias or usual_bias or "", usual_bias),
        _calibration_name(settings),
        _unless(preset, default_preset(settings.model)),
        f"cores{settings.cores}" if settings.cores is not None else "",
        f"mesh{settings.mesh[0]}x{settings.mesh[1]}" if settings.mesh else "",
        f"skipbuffers.{settings.skip_buffers}" if settings.skip_buffers else "",
        _input_name(settings.input),
        _outputs_name(settings.outputs),
        _weights_name(settings),
    ]
    return [part for part in parts if part]


def _unless(value: str, usual: str | None) -> str:
    return "" if value == usual else value


def _tables_name(text: str) -> str:
    """A named table as it is written; of a file its stem, and a hash of what it says."""
    tables = read_tables(text)
    if isinstance(tables, str):
        return "" if text == NONE else _shortened(text)
    return "tables." + with_hash(Path(text).stem, json.dumps(tables, sort_keys=True))


def _bits_name(what: str, bits: LayerBits) -> str:
    """One number as it is; numbers by layer in words, with a hash that tells them apart."""
    if bits == DEFAULT_BITS:
        return ""
    text = bits_in_words(bits)
    return what + (text if text.isdigit() else "." + with_hash(text, text))


def _calibration_name(settings: Settings) -> str:
    method = parse_method(settings.calibration, settings.profile)
    if method == parse_method("", settings.profile):
        return ""
    return "calibration." + str(method).replace(":", "")


def _input_name(text: str) -> str:
    """What was asked for; numbers have signs and commas, and their hash tells them apart."""
    return text and "input." + (text if text.isalnum() else with_hash(text, text))


def _outputs_name(text: str) -> str:
    return text and "outputs." + (text if text.isalnum() else with_hash("several", text))


def _weights_name(settings: Settings) -> str:
    path = settings.checkpoint
    if path is None:
        return ""
    if not is_own_model(settings.model):
        usual = checkpoint_path(settings.model, settings.data_name)
        if path.resolve() == usual.resolve():
            return ""
    return "weights." + path_name(path)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else with_hash(text, text)
