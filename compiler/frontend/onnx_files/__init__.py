# SPDX-License-Identifier: Apache-2.0
"""Networks in ONNX files: float, in QDQ form, and with the Quant nodes of QONNX."""
