"""ONNX → INT8, half precision, TensorRT: what makes a faster engine of an exported one."""
