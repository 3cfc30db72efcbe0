# Two commands: `make demo` and `make test`. Needs Python 3.11+, git and make.
PYTHON ?= python3
SOURCE ?=
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out
DATA ?=
MINUTES ?= 100
WEIGHTS ?=
# What the bundled engine knows: all that it is trained on but `other`, things without a class of their own.
BUNDLED_CLASSES := person,car,cat,dog,elephant,bear,tiger,deer,monkey,otter,turtle,bus,motorcycle,shape

.PHONY: demo test lint parity benchmark bundled clean

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

test: $(VENV)/.dev $(VENV)/.tensorrt_host lint
	$(BIN)/python -m pytest

# Needs the reference outputs in ../shared; docs/parity.md is written by benchmarks/parity.py.
parity: $(VENV)/.dev
	$(BIN)/python -m pytest -m parity

# The bundled engine again, from its data to its file and its card: docs/compact.md says what DATA holds.
bundled: $(VENV)/.dev
	@test -d '$(DATA)' || { echo "make bundled DATA=FOLDER [MINUTES=$(MINUTES)] [WEIGHTS=FILE]: docs/compact.md" >&2; exit 2; }
	mkdir -p $(OUT)
	$(BIN)/python -m streamseg.bundled.train --data '$(DATA)' --minutes $(MINUTES) \
		$(if $(WEIGHTS),--weights '$(WEIGHTS)' --seed 7) --out $(OUT)/compact.pth
	$(BIN)/streamseg export $(OUT)/compact.pth -o $(OUT)/compact.onnx --score-threshold 0.01 --half-weights \
		--classes $(BUNDLED_CLASSES)
	$(BIN)/python -m streamseg.bundled.measure --engine $(OUT)/compact.onnx --data '$(DATA)' --card streamseg/bundled/compact.json
	cp $(OUT)/compact.onnx streamseg/bundled/

benchmark: $(VENV)/.dev
	mkdir -p $(OUT)
	$(BIN)/python benchmarks/main_job.py --out $(OUT)/main_job.json

clean:
	rm -rf $(OUT) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
