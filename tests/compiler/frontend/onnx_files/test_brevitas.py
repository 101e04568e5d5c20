# SPDX-License-Identifier: Apache-2.0
"""Networks that Brevitas trains and exports are computed to the last integer."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from stemcore.compiler.frontends.registry import read_model
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.quantization.quantize import quantize
from stemcore.compiler.quantization.quantize_given import agreement
from stemcore.extras import has_extra, how_to_install
from stemcore.golden.network.forward import run_network

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_extra("brevitas"), reason=f"brevitas: {how_to_install('brevitas')}"),
]


def build():
    """Scales that are powers of two, biases on the accumulators' scales; calibrated."""
    import brevitas.nn as qnn
    from brevitas.quant import Int32Bias
    from brevitas.quant.fixed_point import (
        Int8ActPerTensorFixedPoint,
        Int8WeightPerChannelFixedPoint,
        Int8WeightPerTensorFixedPoint,
        Uint8ActPerTensorFixedPoint,
    )

    rest = {"bias_quant": Int32Bias, "return_quant_tensor": True}
    by_channel = {**rest, "weight_quant": Int8WeightPerChannelFixedPoint}
    torch.manual_seed(0)
    return nn.Sequential(
        qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, return_quant_tensor=True),
        qnn.QuantConv2d(2, 4, 3, padding=1, **by_channel),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, return_quant_tensor=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        qnn.QuantLinear(64, 5, bias=True, weight_quant=Int8WeightPerTensorFixedPoint, **rest),
        qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint),
    )


@pytest.mark.parametrize("form", ["qcdq", "qonnx"])
def test_exported_networks_are_equal(tmp_path, form):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Brevitas stands on older releases of torch
        from brevitas.export import export_onnx_qcdq, export_qonnx

        net = build()
        codes = np.random.default_rng(1).integers(-127, 128, (16, 2, 8, 8))
        codes[1] = 0
        images = torch.from_numpy(codes).float() / 128
        net.train()(images)
        net.eval()
        export = {"qcdq": export_onnx_qcdq, "qonnx": export_qonnx}[form]
        path = str(tmp_path / "net.onnx")
        export(net, args=images[:1], export_path=path, dynamo=False, opset_version=17)
        want = net(images).detach().numpy()
    graph = read_model(path)
    quantized = quantize(graph, codes)
    assert quantized.network.profile == "exact"
    last = quantized.network.layers[-1]
    values = run_network(lower(quantized), codes, acc_width=24)[last.name]
    assert np.array_equal(values.reshape(16, -1) * last.scale, want)
    assert all(one.equal == 1 for one in agreement(graph, quantized.network, codes, ()))
