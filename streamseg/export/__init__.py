"""torch → one ONNX file that meets the engine contract, and the check of it."""
