#!/usr/bin/env bash
# install_tensorrt_host.sh VENV: make `import tensorrt` work without a GPU, to parse and build engines in tests.
#
# TensorRT itself builds nothing without a GPU; TensorRT-RTX does. Its Python bindings and, inside a provider of
# ONNX Runtime, its libraries come as ordinary wheels, and must be of one release (1.7.1.116); tests/tensorrt_host
# puts the name `tensorrt` over them. Where another `tensorrt` is installed, that one is left alone.
set -euo pipefail
bin=$(cd "$1/bin" && pwd)
python=$bin/python
if [ "$(uname -sm)" != 'Linux x86_64' ]; then
    echo "TensorRT-RTX for hosts without a GPU comes for Linux x86-64 only: tests that build engines skip" >&2
    exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
if "$python" -c 'import importlib.metadata as m, sys; sys.exit("tensorrt" not in m.packages_distributions())'; then
    exit 0
fi
"$bin/uv" pip install --quiet --python "$python" --no-deps \
    tensorrt-rtx-cu13-bindings==1.7.1.116 onnxruntime-ep-nv-tensorrt-rtx-cu13==0.5.0 "$here/tensorrt_host"
cd /
"$python" -c 'import tensorrt; print("tensorrt: TensorRT-RTX", tensorrt.__version__, "for tests, without a GPU")'
