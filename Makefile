# `make demo` and `make test` need Python 3.11 or newer and a package index, nothing else.
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test fast torch lint format protos lock clean

demo: $(VENV)/.server  ## real photos, classified, explained and segmented over gRPC by a real server
	PATH="$(abspath $(BIN)):$$PATH" examples/demo

test: $(VENV)/.everything  ## the whole test suite
	$(BIN)/pytest

fast: $(VENV)/.everything  ## the tests that take seconds
	$(BIN)/pytest -m "not slow"

torch: $(VENV)-torch/.made pyproject.toml  ## Grad-CAM against torch's own gradients, in an environment with torch
	@echo "installing spyglass with torch into $(VENV)-torch"
	$(VENV)-torch/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[torch-tests]'
	$(VENV)-torch/bin/pytest tests/export/gradcam/test_heads_against_torch.py tests/export/gradcam/test_torch_exporters.py

lint: $(VENV)/.everything  ## style, types, import rules, words, and whether the generated code is fresh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/plain_words.py
	PYTHON=$(abspath $(BIN))/python protos/generate --check

format: $(VENV)/.everything
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: $(VENV)/.everything  ## the generated Python beside the .proto files
	PYTHON=$(abspath $(BIN))/python protos/generate

lock:  ## constraints.txt: the newest versions that go together, by name and number
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check '.[server,training,dev]'
	.venv-lock/bin/pip freeze --exclude spyglass > constraints.txt
	rm -rf .venv-lock

clean:
	rm -rf $(VENV) $(VENV)-torch build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

%/.made:
	@echo "making the environment $*"
	$(PYTHON) -m venv $*
	@touch $@

$(VENV)/.server: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing spyglass with the server extra"
	$(INSTALL) --editable '.[server]'
	@touch $@

$(VENV)/.everything: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing spyglass with everything that the tests need, TensorFlow included"
	$(INSTALL) --editable '.[server,training,dev]'
	@touch $@ $(VENV)/.server
