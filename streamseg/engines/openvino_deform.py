"""ONNX DeformConv for OpenVINO, which has the operation but no rule to read it (2026.3).

Without it YOLACT++ would run in ONNX Runtime alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from streamseg.engines.openvino_quiet import openvino

__all__ = ["deform_conv_extension"]

INPUTS = 5  # picture, weights, offsets, bias, factors of the taps


def deform_conv_extension() -> Any:
    """What to give to `Core.add_extension` before reading a model."""
    # Not at the top, where it would come before the quiet import.
    from openvino.frontend.onnx import ConversionExtension

    return ConversionExtension("DeformConv", _translated)


def _translated(node: Any) -> Any:
    """DeformConv with all five inputs, as torchvision.ops.deform_conv2d exports it; other forms raise."""
    offset_groups = node.get_attribute("offset_group", 1)
    if node.get_input_size() != INPUTS or offset_groups != 1:
        raise ValueError(f"DeformConv with {node.get_input_size()} inputs and {offset_groups} offset groups")
    x, weights, offsets, bias, factors = (node.get_input(i) for i in range(INPUTS))
    top, left, bottom, right = node.get_attribute("pads", [0, 0, 0, 0])
    operations = openvino.opset8
    convolved = operations.deformable_convolution(
        x,
        offsets,
        weights,
        list(node.get_attribute("strides", [1, 1])),
        [top, left],
        [bottom, right],
        list(node.get_attribute("dilations", [1, 1])),
        mask=factors,
        group=node.get_attribute("group", 1),
        bilinear_interpolation_pad=True,  # beyond the border is zero, and interpolated with what is inside
    )
    per_channel = operations.unsqueeze(bias, np.array([0, 2, 3], np.int64))
    return operations.add(convolved, per_channel).outputs()
