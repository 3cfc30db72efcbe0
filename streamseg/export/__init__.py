"""Network + fused tail → one ONNX file that meets the engine contract."""
