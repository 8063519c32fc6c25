# `make demo` and `make test` need only Python 3.11 or newer and a package index.
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
QUIET := --quiet --disable-pip-version-check
INSTALL := $(BIN)/pip install $(QUIET) --constraint constraints.txt

.PHONY: demo test fast fuzz floor client-wheel torch lint errors openapi format protos lock audit sbom clean

demo: $(VENV)/.server  ## start a server; classify, explain and segment photos over gRPC
	PATH="$(abspath $(BIN)):$$PATH" examples/demo

test: $(VENV)/.everything  ## run the whole test suite
	$(BIN)/pytest

fast: $(VENV)/.everything  ## run the fast tests only
	$(BIN)/pytest -m "not slow"

floor: $(VENV)-floor/.made $(VENV)-floor-client/.made  ## run the fast tests with the lowest versions of everything
	@echo "installing the lowest versions into $(VENV)-floor and $(VENV)-floor-client"
	$(PYTHON) tools/floors.py server export tests > $(VENV)-floor/constraints.txt
	$(VENV)-floor/bin/pip install $(QUIET) --constraint $(VENV)-floor/constraints.txt --editable '.[server,export,tests]'
	$(PYTHON) tools/floors.py tests > $(VENV)-floor-client/constraints.txt
	$(VENV)-floor-client/bin/pip install $(QUIET) --constraint $(VENV)-floor-client/constraints.txt --editable '.[tests]'
	$(VENV)-floor-client/bin/pytest -m "not slow" tests/client
	$(VENV)-floor/bin/pytest -m "not slow and not training" --ignore tests/training

fuzz: $(VENV)/.everything  ## send random input to a server, ten minutes of each kind
	$(BIN)/pytest tests/fuzz --fuzz-seconds 600 --fuzz-seed $$(date +%s) -rP

client-wheel:  ## build the slim distribution of the client, dist/spyglass_client-*.whl
	$(PYTHON) -m pip wheel $(QUIET) --no-deps --wheel-dir dist clients/python

torch: $(VENV)-torch/.made pyproject.toml  ## compare Grad-CAM with the gradients of PyTorch, in an environment of its own
	@echo "installing spyglass with torch into $(VENV)-torch"
	$(VENV)-torch/bin/pip install $(QUIET) --constraint constraints.txt --editable '.[torch-tests]'
	$(VENV)-torch/bin/pytest tests/export/gradcam/test_heads_against_torch.py tests/export/gradcam/test_torch_exporters.py

lint: $(VENV)/.everything  ## check style, types, import rules, words, .proto files and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/plain_words.py
	$(BIN)/python tools/error_reasons.py --check
	$(BIN)/python tools/openapi.py --check
	$(BIN)/python tools/pins.py
	$(BIN)/python tools/licences.py
	PYTHON=$(abspath $(BIN))/python protos/generate --check
	protos/lint

errors: $(VENV)/.everything  ## write docs/errors.md from the code
	$(BIN)/python tools/error_reasons.py

openapi: $(VENV)/.everything  ## write the OpenAPI document of the HTTP port from the .proto files
	$(BIN)/python tools/openapi.py

format: $(VENV)/.everything  ## fix style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: $(VENV)/.everything  ## generate the Python code beside the .proto files
	PYTHON=$(abspath $(BIN))/python protos/generate

lock:  ## write constraints.txt: the newest versions that work together
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check '.[server,training,dev]'
	.venv-lock/bin/pip freeze --exclude spyglass > constraints.txt
	rm -rf .venv-lock

audit: $(VENV)/.everything  ## list the version and licence of every library; fail for one that is not allowed
	$(BIN)/python tools/pins.py
	$(BIN)/python tools/licences.py

# Of an environment with nothing but a server; the file is the same for the same versions.
SBOM ?= dist/sbom.json
sbom: $(VENV)-sbom/.made  ## write dist/sbom.json, the parts of a server in CycloneDX
	@echo "installing the server into $(VENV)-sbom-server"
	$(VENV)-sbom/bin/pip install $(QUIET) --requirement tools/sbom-requirements.txt
	rm -rf $(VENV)-sbom-server
	$(PYTHON) -m venv --without-pip $(VENV)-sbom-server
	$(VENV)-sbom/bin/pip --python $(VENV)-sbom-server/bin/python install $(QUIET) --constraint constraints.txt '.[server]'
	mkdir -p $(dir $(SBOM))
	$(VENV)-sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --validate --output-file $(SBOM) $(VENV)-sbom-server/bin/python

clean:  ## delete environments, builds and caches
	rm -rf $(VENV) $(VENV)-torch $(VENV)-floor $(VENV)-floor-client $(VENV)-sbom $(VENV)-sbom-server $(VENV)-generator node_modules build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

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
