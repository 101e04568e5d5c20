# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # Accuracy and operations
#
# An activation table replaces each activation by a near value with fewer one-bits, so that a neuron
# fires less. How much accuracy does that cost, and how many synaptic operations does it save? Here
# a trained network (`digits_cnn`) is measured with tables of four kinds, each at several strengths.
#
# Nothing is simulated: the golden network computes the same integers as the chip.

# %%
import matplotlib.pyplot as plt
import numpy as np
from matplotlib_inline.backend_inline import set_matplotlib_formats

from stemcore.compiler.pipeline import Compilation, run_stages
from stemcore.compiler.stages import Inputs, Options
from stemcore.golden.arithmetic import activation_tables
from stemcore.models.checkpoint import find_checkpoint, load_into
from stemcore.models.data import load_dataset, to_integer_input
from stemcore.models.registry import get_model
from stemcore.runtime.sparsify.operation_counts import run_with_counts

set_matplotlib_formats("svg")
grey = "#8a8f98"  # legible on light and on dark pages
for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"):
    plt.rcParams[name] = grey
plt.rcParams["figure.facecolor"] = plt.rcParams["axes.facecolor"] = "none"
plt.rcParams["legend.frameon"] = False

# %% [markdown]
# ## What a table looks like
#
# A table of 8-bit activations has 256 entries: the value that is fired instead. `rot` rounds to a
# multiple of a power of two, `drlo` keeps the k highest one-bits, `ones` takes the nearest value
# with at most k one-bits, and `rd` weighs the squared error against the number of one-bits.

# %%
tables = {
    "rot3": activation_tables.rot(8, 3),
    "drlo2": activation_tables.drlo(8, 2),
    "ones2": activation_tables.nearest_ones(8, 2),
    "rd40": activation_tables.rate_distortion(8, 40),
}
values = np.arange(256)
print(f"{'value':>8}" + "".join(f"{name:>8}" for name in tables))
for value in (7, 63, 100, 181, 255):
    print(f"{value:>8}" + "".join(f"{table[value]:>8}" for table in tables.values()))

figure, axes = plt.subplots(1, 4, figsize=(9, 2.4), sharey=True)
for axis, (name, table) in zip(axes, tables.items(), strict=True):
    axis.plot(values, table - values, drawstyle="steps-mid", color="#0f8b8d", linewidth=1)
    axis.set_title(name, fontsize=10)
    axis.set_xlabel("activation")
axes[0].set_ylabel("change")
figure.tight_layout()

# %% [markdown]
# ## The network, compiled to integers
#
# The compiler is a list of stages. It is stopped behind the stage that gives the integer network:
# no chip is needed here.

# %%
digits = load_dataset("digits")
spec = get_model("digits_cnn")
module = spec.build()
load_into(module, find_checkpoint("digits_cnn", "digits"))
module.eval()

inputs = Inputs(module, to_integer_input(digits.train_images))
options = Options(name="digits_cnn", input_shape=spec.input_shape)
base = run_stages(Compilation(options, inputs), stop="lower")
print("stages that ran:", ", ".join(base.results))

# %% [markdown]
# ## A sweep
#
# With another `tables` option, only the stages that depend on it run again; the quantized network
# stays.

# %%
images = to_integer_input(digits.test_images)


def measure(table):
    """Accuracy in percent and operations per image with one table in all layers but the last."""
    network = run_stages(base.with_options(tables=table), stop="lower").exact
    measured = run_with_counts(network, images, acc_width=base.exact_width)
    return 100 * measured.right(digits.test_labels).mean(), measured.sops


accuracy, operations = measure("none")
print(f"{'none':<8}{accuracy:6.2f} %  {operations / 1e3:6.1f}k SOPs")

sweeps = {
    "rot": [f"rot{r}" for r in (1, 2, 3, 4, 5)],
    "drlo": [f"drlo{k}" for k in (5, 4, 3, 2, 1)],
    "ones": [f"ones{k}" for k in (4, 3, 2, 1)],
    "rd": [f"rd{x}" for x in (5, 20, 40, 80, 320)],
}
points = {kind: [measure(name) for name in names] for kind, names in sweeps.items()}
for kind, names in sweeps.items():
    for name, (right, sops) in zip(names, points[kind], strict=True):
        print(f"{name:<8}{right:6.2f} %  {sops / 1e3:6.1f}k SOPs  {sops / operations - 1:+7.1%}")

# %% [markdown]
# ## The trade
#
# To the left is less work, upwards is better.

# %%
figure, axis = plt.subplots(figsize=(7, 4))
for (kind, measured), colour, marker in zip(
    points.items(), ("#0f8b8d", "#d9822b", "#7a5fb5", "#c0455e"), "osD^", strict=True
):
    rights, sops = zip(*measured, strict=True)
    axis.plot(
        [100 * s / operations for s in sops],
        rights,
        marker=marker,
        color=colour,
        label=kind,
        linewidth=1,
    )
axis.axhline(accuracy, color=grey, linewidth=0.8, linestyle=":")
axis.set_xlabel("synaptic operations, % of those without tables")
axis.set_ylabel("accuracy, %")
axis.set_ylim(accuracy - 6, 100.2)
axis.legend()
figure.tight_layout()

# %% [markdown]
# One table for all layers is the simplest choice. `stemcore sparsify` searches one for each layer,
# on training images, within a budget of accuracy:
# [Make spikes fewer](../how-to/activation-tables.md).
#
# The measured operations are exact: the gateware's counters say the same.

# %%
halved = [
    name
    for kind in sweeps
    for name, (right, sops) in zip(sweeps[kind], points[kind], strict=True)
    if sops < 0.6 * operations and right > accuracy - 1
]
print("less than 60 % of the operations for less than a point:", ", ".join(halved))
assert halved
