# SPDX-License-Identifier: Apache-2.0
"""``docs/peers.md`` from the rows."""

import math
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

from .placed import NODE
from .row import NO_DATA

HEAD = """# Beside other accelerators

Rows that this project measured on its own RTL, and rows that others publish. They are not of one
kind: networks, bits, boards and what counts as energy differ, and no row was made to look like
another. *measured*: by the command that stands beside it, every spike equal to golden's; *RTL
simulated*: the other project's RTL, run once by us, with a bench that is not here, since neither is
that RTL; *quoted*: as published. `python -m stemcore.benchmarks.peers` measures our rows again and
writes this page and `benchmarks/peers/peers.json`.

Our images per second are simulated cycles at a clock, not a run in silicon. Two kinds of rows are
ours. *One node on the board*: the design that fits a ULX3S, at the clock at which it was placed and
routed (the bitstream runs at 60 MHz unless `CLOCK=` says otherwise); the network's cores take turns
on its node, and loading them is counted. The others have a
node for every core, which no board here holds: their clock, $clock MHz, is that of one placed and
routed node of $lanes lanes in an ECP5.
"""
TAIL = """
## Where this project loses

* **Area.** One node takes $luts LUT4; Spiker+ is a whole accelerator in 7.6k LUTs, and the
  networks above need 11 to 48 nodes. A node is programmable: one design runs all of these
  networks, and pays for that.
* **Clock.** $clock MHz in an ECP5 against 200 MHz of E3NE in UltraScale+ and 500 to 600 MHz of
  FireFly v2. Different devices; the difference is not only that.
* **Memory.** E3NE needs a twelfth of this chip's memory for LeNet-5: potentials of 24 bits, a
  descriptor table in every core and buffers for images that follow each other are what ours holds
  beside the weights.
* **Energy.** The rows of others are measured on boards and chips; ours are a model, without
  clock, leakage and control. They must not be set against each other. On the model itself, the
  same network as multiply-accumulates with partial sums in registers takes a fifth to a
  thirteenth of the spiking form's energy.
* **Accuracy on CIFAR10.** FINN's CNV-W2A2 (89.03 %) and Loihi's NxTF network (91.5 %) stand above
  the networks in these rows: on all 5,000 images of the copy, not the first 1,000, the VGG has
  88.60 % and MLPerf Tiny's ResNet 80.78 % ([measurements](measurements.md#accuracy)).

## What is missing

VGG-11 with trained weights: its row has random ones, as MLPerf Tiny's networks without a data set
here have, so its cycles are those of their spikes, and it has no accuracy. Images per second of
VGG-11 on E3NE, which its paper deploys, were not at hand. Energy of a board or a chip: none was
measured. Figures that a cell leaves open were not found in what others publish.
"""
COLUMNS = (
    "system",
    "network",
    "data",
    "device",
    "bits",
    "accuracy, % (test images)",
    "cycles an image",
    "images/s (at MHz)",
    "LUT",
    "memory",
    "energy an image",
    "how",
    "source",
    "note",
)
_TITLES = {
    "MNIST": "MNIST",
    "CIFAR10": "CIFAR10",
    "digits": "Digits; cycles alone of random weights on enlarged ones",
    NO_DATA: "Size alone",
}


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The page; ``rows`` as ``peers.json`` has them."""
    node = {"clock": f"{NODE.clock_mhz:g}", "lanes": NODE.lanes, "luts": f"{NODE.luts:,}"}
    head, tail = (Template(text).substitute(node) for text in (HEAD, TAIL))
    parts = [head]
    for data, title in _TITLES.items():
        own = [row for row in rows if row["dataset"].lower().startswith(data.lower())]
        if own:
            parts.append(f"## {title}\n\n{_table(own)}")
    return "\n".join([*parts, tail.strip()]) + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(_cells(row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    source = f"`{row['source']}`" if row["source"].startswith("make ") else row["source"]
    accuracy, images = row["accuracy"], ""
    if row["images"]:
        error = math.sqrt(accuracy * (100 - accuracy) / row["images"])
        images = f" ± {error:.2f} ({row['images']:,})"
    clock = f" ({row['clock_mhz']:g})" if row["clock_mhz"] else ""
    return (
        row["system"],
        row["network"],
        row["dataset"],
        row["device"] or "",
        row["precision"] or "",
        "" if accuracy is None else f"{accuracy:.2f}{images}",
        "" if row["cycles"] is None else f"{row['cycles']:,.0f}",
        (f"{row['per_second']:,.0f}" if row["per_second"] else "") + clock,
        row["luts"] or "",
        row["memory"] or "",
        row["energy"] or "",
        row["how"],
        source,
        row["note"],
    )
