# SPDX-License-Identifier: Apache-2.0
"""ONNX models node by node, float or quantized, as tests need them."""

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper


def run_onnx(model, given, outputs=None):
    """What ONNX Runtime computes, operator by operator, of an array, or of arrays by input.

    Nothing is fused: the kernels that take the place of quantized operators add products of bytes
    in 16 bits on processors without instructions for these, and wrong sums come from them.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    if not isinstance(given, dict):
        given = {session.get_inputs()[0].name: given}
    return session.run(outputs, given)


class Builder:
    """Nodes in order; each method returns the name of its result.

    form : ``float``; ``qdq``; ``qcdq``, with a Clip between for fewer bits; ``qonnx``
    """

    def __init__(self, form, shape, *, opset=17, batch="N", seed=0):
        self.form, self.shape, self.opset, self.batch = form, shape, opset, batch
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants, self.quantized = [], [], []

    def constant(self, array, dtype=np.float32):
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def node(self, kind, inputs, name="", domain="", n_outputs=1, **attributes):
        name = name or f"{kind}_{len(self.nodes)}"
        outputs = [f"{name}:{i}" for i in range(n_outputs)]
        self.nodes.append(
            helper.make_node(kind, inputs, outputs, name, domain=domain, **attributes)
        )
        return outputs[0] if n_outputs == 1 else outputs

    def quantize(self, x, scale, bits=8, *, signed=False, zero_point=0, axis=None):
        """The value rounded to integers of a scale; constants alike."""
        if self.form == "float":
            return x
        scales = np.asarray(scale, np.float32)
        if self.form == "qonnx":
            shape = scales.shape if axis is None else (-1, 1, 1, 1)
            inputs = [x, *map(self.constant, (scales.reshape(shape), float(zero_point), bits))]
            return self.node(
                "Quant", inputs, domain="qonnx.custom_op.general", signed=int(signed),
                narrow=int(signed), rounding_mode="ROUND",
            )  # fmt: skip
        kind = np.int8 if signed else np.uint8
        zeros = np.full(scales.shape, zero_point, kind)
        rest = [self.constant(scales), self.constant(zeros, kind)]
        where = {} if axis is None else {"axis": axis}
        integers = self.node("QuantizeLinear", [x, *rest], **where)
        top = (1 << (bits - signed)) - 1
        if self.form == "qcdq" or bits < 8:
            low = self.constant(-top if signed else 0, kind)
            integers = self.node("Clip", [integers, low, self.constant(top, kind)])
        if axis is None:
            self.quantized.append(integers)
        return self.node("DequantizeLinear", [integers, *rest], **where)

    def weights(self, shape, scale, bits=8):
        """Random weights, with one scale for each of the first axis; QDQ holds integers."""
        top = (1 << (bits - 1)) - 1
        scales = np.broadcast_to(np.asarray(scale, np.float32), shape[0]).copy()
        integers = self.rng.integers(-top, top + 1, shape)
        real = integers * scales.reshape(-1, *[1] * (len(shape) - 1))
        if self.form == "qdq":
            rest = [self.constant(scales), self.constant(np.zeros(shape[0]), np.int8)]
            stored = self.constant(integers, np.int8)
            return self.node("DequantizeLinear", [stored, *rest], axis=0)
        before = len(self.quantized)
        result = self.quantize(self.constant(real), scales, bits, signed=True, axis=0)
        del self.quantized[before:]
        return result

    def bias(self, n, step):
        """Biases on the scale of an accumulator."""
        steps = np.broadcast_to(step, n)
        return self.constant(self.rng.integers(-500, 500, n) * steps)

    def model(self, output, result):
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "net",
            [value("image", onnx.TensorProto.FLOAT, [self.batch, *self.shape])],
            [value(output, onnx.TensorProto.FLOAT, [self.batch, *result])],
            self.constants,
        )
        domains = [helper.make_opsetid("", self.opset)]
        if self.form == "qonnx":
            domains.append(helper.make_opsetid("qonnx.custom_op.general", 1))
        return helper.make_model(graph, opset_imports=domains, ir_version=8)


def residual(form, *, free=False, bits=8, opset=17, batch="N"):
    """Convolutions, an addition in one accumulator, poolings, a dense layer.

    free : whether scales are no powers of two
    """
    off = 1.1 if free else 1.0
    b = Builder(form, (2, 8, 8), opset=opset, batch=batch)
    unsigned = {"bits": bits}
    x = b.quantize("image", 1 / 128, signed=True)
    s1 = np.array([2.0**-8, 2.0**-7, 2.0**-8, 2.0**-9]) * off
    weight, bias = b.weights((4, 2, 3, 3), s1), b.bias(4, s1 / 128)
    x = b.node("Conv", [x, weight, bias], "first", pads=[1] * 4)
    top = (1 << bits) / 256
    a = b.quantize(b.node("Relu", [x]), off / 64 / top, **unsigned)
    s2 = np.full(4, 2.0**-9) * off
    weight, bias = b.weights((4, 4, 3, 3), s2), b.bias(4, s2 * off / 64 / top)
    x = b.node("Conv", [a, weight, bias], "second", pads=[1] * 4)
    x = b.node("Relu", [b.node("Add", [x, a], "sum")])
    x = b.quantize(x, off / 16 / top, **unsigned)
    x = b.node("MaxPool", [x], "pool", kernel_shape=[2, 2], strides=[2, 2])
    weight = b.weights((6, 4, 1, 1), 2.0**-7 * off)
    x = b.quantize(b.node("Conv", [x, weight], "third"), off / 8, signed=True)
    x = b.node("AveragePool", [x], "mean", kernel_shape=[2, 2], strides=[2, 2])
    x = b.quantize(x, off / 16, signed=True)
    x = b.node("Flatten", [x])
    weight = b.weights((5, 24), 2.0**-7 * off)
    x = b.node("Gemm", [x, weight, b.bias(5, 2.0**-7 * off / 16 * off)], "last", transB=1)
    x = b.quantize(x, off / 2, signed=True)
    return b.model(x, (5,)), b.quantized


def two_input_net(form, sizes, *, batches=("N", "N"), factor=1.0):
    """A convolution of images and a dense layer of vectors, joined; scores and the joined values.

    sizes : of the two inputs by their names, (channels, rows, columns) and (values,)
    batches : of the inputs, as the file states them
    factor : worth of the vectors' integers, as a multiple of 1/128
    """
    (image, (n_channels, rows, columns)), (vector, (n_values,)) = sizes.items()
    b = Builder(form, (n_channels, rows, columns))
    x = b.quantize(image, 2.0**-7, signed=True)
    v = b.quantize(vector, factor * 2.0**-7, signed=True)
    weight = b.weights((4, n_channels, 3, 3), 2.0**-8)
    x = b.node("Conv", [x, weight, b.bias(4, 2.0**-15)], "conv")
    x = b.quantize(b.node("Relu", [x]), 2.0**-6)
    x = b.node("MaxPool", [x], kernel_shape=[rows - 2, columns - 2])
    x = b.node("Flatten", [x])
    weight = b.weights((5, n_values), 2.0**-7)
    v = b.node("Gemm", [v, weight, b.bias(5, factor * 2.0**-14)], "dense", transB=1)
    v = b.quantize(b.node("Relu", [v]), 2.0**-6)
    joined = b.node("Concat", [x, v], "joined", axis=1)
    y = b.node("Gemm", [joined, b.weights((3, 9), 2.0**-7), b.bias(3, 2.0**-13)], "last", transB=1)
    y = b.quantize(y, 2.0**-4, signed=True)
    model = b.model(y, (3,))
    value = helper.make_tensor_value_info
    del model.graph.input[:]
    for (name, shape), batch in zip(sizes.items(), batches, strict=True):
        model.graph.input.append(value(name, onnx.TensorProto.FLOAT, [batch, *shape]))
    model.graph.output.append(value(v, onnx.TensorProto.FLOAT, ["N", 5]))
    return model
