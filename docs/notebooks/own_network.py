# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # Your own network
#
# The front door of the compiler, `stemcore.compile`, with a network and images that are nobody's
# but yours: train, compile, estimate, run on the gateware, look inside, save, export.
#
# ## A network and its data
#
# Plain torch, and the digits that come with scikit-learn. The network is trained on bytes as
# byte / 255, and says so: `input_range` is what `stemcore.compile` asks for.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib_inline.backend_inline import set_matplotlib_formats
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.functional import cross_entropy

import stemcore

set_matplotlib_formats("svg")
grey = "#8a8f98"  # legible on light and on dark pages
for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"):
    plt.rcParams[name] = grey
plt.rcParams["figure.facecolor"] = plt.rcParams["axes.facecolor"] = "none"

torch.manual_seed(0)
pixels, labels = load_digits(return_X_y=True)
images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
train_images, test_images, train_labels, test_labels = train_test_split(
    images, labels, test_size=360, random_state=0
)


def as_floats(images):
    """What the float network is trained on."""
    return torch.tensor(images, dtype=torch.float32) / 255


class Net(nn.Module):
    """Two convolutions with a residual connection, and a classifier."""

    input_range = (0, 1)

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 32, 3, padding=1)
        self.norm = nn.BatchNorm2d(32)
        self.second = nn.Conv2d(32, 32, 3, padding=1)
        self.pool = nn.AvgPool2d(2)
        self.last = nn.Linear(32 * 4 * 4, 10)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(x + self.second(x))
        return self.last(self.pool(x).flatten(1))


net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
inputs, targets = as_floats(train_images), torch.tensor(train_labels)
for _ in range(5):
    for chosen in torch.randperm(len(inputs)).split(64):
        loss = cross_entropy(net(inputs[chosen]), targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
net.eval()
with torch.no_grad():
    float_accuracy = (net(as_floats(test_images)).argmax(1).numpy() == test_labels).mean()
print(f"float network: {100 * float_accuracy:.1f} % of {len(test_images)} test images")

# %% [markdown]
# ## Compile
#
# Some hundred training images set the scales. They are bytes here; floats as the network sees them
# would do too.

# %%
compiled = stemcore.compile(net, calibration=train_images)
print(compiled)
print(compiled.estimate())

# %% [markdown]
# The estimate follows from the memory images and from the spikes that the calibration images
# cause. Nothing has been simulated.
#
# ## Accuracy
#
# The golden network computes the same integers as the chip, a whole test set in a second.

# %%
golden = compiled.run(test_images, engine="golden")
print(f"quantized network: {100 * golden.accuracy(test_labels):.1f} %")
print(f"spikes per image: {golden.spikes['input'].mean():.0f} of the input, then", end=" ")
print(
    {name: round(float(counts.mean())) for name, counts in golden.spikes.items() if name != "input"}
)
assert golden.accuracy(test_labels) > float_accuracy - 0.02

# %% [markdown]
# ## On the gateware
#
# Six images, cycle by cycle. `run` compares every spike of every layer with golden and raises at
# the first difference, so a result that comes back is right.

# %%
result = compiled.run(test_images[:6], engine="rtl")
print(result)
timing = result.timing
ends = timing.end
print(f"latency {timing.end[0] - timing.start[0]:,} cycles,", end=" ")
print(f"then one image every {np.diff(ends).mean():,.0f}; estimated", end=" ")
print(f"{compiled.estimate().latency:,.0f} and {compiled.estimate().interval:,.0f}")
print("predictions", result.predictions, "labels", test_labels[:6])

# %% [markdown]
# ## Look inside
#
# Values of all layers are there, and so are the spike trains: bits of the values, the most
# significant first. This is the first layer's spike train for one image: a column for each time
# step, a row for each neuron of one channel.

# %%
from stemcore.golden.arithmetic.stem import encode

layer = next(name for name in result.values if name != "input")
value = result.values[layer][0, 5]  # image 0, channel 5
train = encode(value, bits=8, is_signed=False).reshape(8, -1).T
figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), width_ratios=[1, 1.4])
axes[0].imshow(value, cmap="viridis")
axes[0].set_title(f"{layer}, channel 5: integers")
axes[1].imshow(train, aspect="auto", cmap="Greys", interpolation="nearest", alpha=0.8)
axes[1].set_title("the same as spikes")
axes[1].set_xlabel("time step")
axes[1].set_ylabel("neuron")
figure.tight_layout()

# %% [markdown]
# ## Other settings
#
# Only stages that a setting touches run again.

# %%
for bits in (8, 6, 5, 4):
    variant = compiled.compile(bits=bits)
    accuracy = variant.run(test_images, engine="golden").accuracy(test_labels)
    estimate = variant.estimate()
    print(
        f"{bits} bits: {100 * accuracy:5.1f} %, {estimate.sops:9,.0f} SOPs, "
        f"{estimate.interval:7,.0f} cycles, {estimate.energy_pj / 1e6:.2f} µJ per image"
    )

# %% [markdown]
# ## Keep it
#
# A saved network needs neither the module nor torch to run. The report is one page of HTML; the
# Verilog comes with a bench.

# %%
compiled.save("net")
again = stemcore.load("net").run(test_images[:6], engine="program")
assert np.array_equal(again.integers, result.integers)
print(result.report("report.html", labels=test_labels[:6]))
print(compiled.verilog("verilog"))
