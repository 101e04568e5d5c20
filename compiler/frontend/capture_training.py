# SPDX-License-Identifier: Apache-2.0
"""Programs that were exported in training mode: what is read as in evaluation.

Nothing switches a program to evaluation once it is exported, and who has the archive alone cannot
export it again. What it holds is enough: dropout passes its operand on, a random slope is the mean
of its range, and batch norm takes the running statistics, which are arguments of the call. A live
module is asked for ``.eval()`` instead; what it then still calls in training mode is refused
(:meth:`stemcore.compiler.frontend.fx.Call.refuses_training`).
"""

from typing import Any

from .fx import layer_name

# By operator: position and name of the argument that says so, and what is done.
_MODES = {
    **dict.fromkeys(
        ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout"),
        (2, "train", "dropout passes all values on"),
    ),
    **dict.fromkeys(
        ("batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_functional"),
        (5, "training", "batch norm takes the running statistics that the program holds"),
    ),
    "rrelu": (3, "training", "random slopes are the mean of their range"),
}


def training_calls(program: Any) -> dict[str, list[str]]:
    """Layers that are in training mode, by what is done instead.

    A batch norm without running statistics is in training mode for good: its operator refuses it.
    """
    found: dict[str, list[str]] = {}
    for node in program.graph.nodes:
        kind = str(node.target).removeprefix("aten.").partition(".")[0].removesuffix("_")
        if node.op != "call_function" or kind not in _MODES:
            continue
        position, name, done = _MODES[kind]
        mode = node.args[position] if len(node.args) > position else node.kwargs.get(name, False)
        has_none = "batch_norm" in kind and node.args[3] is None
        if mode and not has_none:
            found.setdefault(done, []).append(layer_name(node))
    return found


def describe_training(program: Any) -> list[str]:
    """A sentence for each kind of layer that is in training mode."""
    return [
        f"exported in training mode, read as in evaluation: {done} ({_listed(layers)})"
        for done, layers in training_calls(program).items()
    ]


def _listed(layers: list[str]) -> str:
    return ", ".join(layers[:3]) + (f" and {len(layers) - 3} more" if len(layers) > 3 else "")
