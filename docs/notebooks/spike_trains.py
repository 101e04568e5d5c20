# SPDX-License-Identifier: Apache-2.0

# %% [markdown]
# # Spike trains by hand
#
# Everything that a neuron of this chip does, in a few lines of numpy: encode an activation as a
# spike train, add weights spike by spike, rescale, and fire. At the end the same is done with the
# project's own reference functions, and the integers are equal.

# %%
import numpy as np

rng = np.random.default_rng(7)

# %% [markdown]
# ## From a number to spikes
#
# An activation of n bits takes T = n time steps. The spike of time step t is bit n-1-t: the most
# significant bit comes first.

# %%
T = 8
activation = 181
train = [(activation >> (T - 1 - t)) & 1 for t in range(T)]
print(f"{activation} = {activation:08b}")
print("spike train", train, "-", sum(train), "spikes")

# %% [markdown]
# A spike of step t weighs 2^(T-1-t). The sum of the weights of the spikes is the activation again.

# %%
weight_of_step = [1 << (T - 1 - t) for t in range(T)]
assert sum(c * s for c, s in zip(weight_of_step, train, strict=True)) == activation
print(weight_of_step)

# %% [markdown]
# ## A neuron that listens
#
# Four inputs, each with a spike train, and a neuron with four synaptic weights. For every spike it
# adds the weight of that synapse, shifted by the time step. Each addition is one synaptic
# operation (SOP).

# %%
inputs = np.array([181, 0, 64, 255])
weights = np.array([3, -100, 17, -5])
trains = np.array([[(x >> (T - 1 - t)) & 1 for t in range(T)] for x in inputs])

z, n_operations = 0, 0
for t in range(T):
    for j in range(len(inputs)):
        if trains[j, t]:
            z += int(weights[j]) << (T - 1 - t)
            n_operations += 1
    print(f"after step {t}: z = {z:5d}")

assert z == int(weights @ inputs)
print(f"{n_operations} operations; the quantized layer computes {int(weights @ inputs)}")

# %% [markdown]
# The input 0 cost nothing, 64 cost one operation, 255 cost eight. Work follows the one-bits of the
# data, which is what activation tables make fewer.
#
# ## The order does not matter
#
# A spike says its time step, so additions may come in any order. This is why a chip without a
# global clock tick has one well-defined result.

# %%
spikes = [(j, t) for j in range(len(inputs)) for t in range(T) if trains[j, t]]
for _ in range(100):
    rng.shuffle(spikes)
    assert sum(int(weights[j]) << (T - 1 - t) for j, t in spikes) == z
print(f"100 random orders of {len(spikes)} spikes: always {z}")

# %% [markdown]
# ## From the potential to the next spike train
#
# The neuron rescales its potential, here by 1/4, adds a bias, rounds ties to even, and clamps to
# 0..255. The clamp at zero is the ReLU.

# %%
bias, shift = 700, 2
shifted = z + bias
y = round(shifted / (1 << shift))  # Python rounds ties to even, as torch does
q = min(max(y, 0), 255)
print(f"({z} + {bias}) / 4 = {shifted / 4} -> {y} -> {q}")

# %% [markdown]
# Then it fires. In the paper's words: compare what is left with a threshold that halves at every
# step; fire where it is reached, and subtract it. That reads the bits from the top.

# %%
left, fired = q, []
for t in range(T):
    threshold = 1 << (T - 1 - t)
    fired.append(int(left >= threshold))
    left -= fired[-1] * threshold
assert left == 0
assert fired == [(q >> (T - 1 - t)) & 1 for t in range(T)]
print(fired)

# %% [markdown]
# ## Signed values
#
# The input image and the last layer are signed. Their code is two's complement: the spike at t = 0
# weighs -2^(T-1).

# %%
value = -38
train = [(value >> (T - 1 - t)) & 1 for t in range(T)]
signed_weights = [-(1 << (T - 1)), *weight_of_step[1:]]
print(value, train)
assert sum(c * s for c, s in zip(signed_weights, train, strict=True)) == value

# %% [markdown]
# ## The same with the project's reference
#
# `stemcore.golden.arithmetic` is the executable form of these equations. A whole layer of 10
# neurons with 64 inputs:

# %%
from stemcore.golden.arithmetic.fixed import requantize
from stemcore.golden.arithmetic.stem import decode, encode, fire, integrate

x = rng.integers(0, 256, 64)
w = rng.integers(-127, 128, (10, 64))
trains = encode(x, bits=8, is_signed=False)
assert np.array_equal(decode(trains, is_signed=False), x)

potentials = integrate(w, trains, is_signed=False)
assert np.array_equal(potentials, w @ x)

activations = requantize(
    potentials, bias=0, multiplier=1, shift=8, bias_shift=0, bits=8, is_signed=False
)
spikes = fire(activations, bits=8, is_signed=False)
assert np.array_equal(decode(spikes, is_signed=False), activations)
print("potentials ", potentials)
print("activations", activations)
print("spikes     ", spikes.sum(axis=0))

# %% [markdown]
# The gateware is held to exactly these functions. [Your own network](own_network.md) runs a whole
# network on it; [The STEM spike code](../explanation/stem.md) has the equations with their names.
