"""How layers are told; a build without a GPU (test_build.py) has none to inspect."""

from streamseg.compile.layers import Layer, describe_layers


def test_a_line_for_each_layer_and_one_for_each_precision():
    layers = [
        Layer("conv1", "CONVOLUTION", "int8"),
        Layer("shape of x", "SHAPE", "int64"),
        Layer("relu1", "ACTIVATION", "fp16"),
        Layer("product", "MATRIX_MULTIPLY", "fp16"),
        Layer("conv2", "DECONVOLUTION", "fp16"),
    ]
    assert describe_layers(layers) == [
        "int8     CONVOLUTION      conv1",
        "fp16     ACTIVATION       relu1",
        "fp16     MATRIX_MULTIPLY  product",
        "fp16     DECONVOLUTION    conv2",
        "fp16: 3 layers, of which 2 convolutions and products",
        "int8: 1 layers, of which 1 convolutions and products",
    ]


def test_nothing_is_no_line():
    assert describe_layers([]) == []
