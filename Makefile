# Two commands for a newcomer: `make demo` and `make test`. Each sets up .venv by itself, once.
# Every path is relative, so that a clone may lie in a folder with spaces in its name.
PYTHON ?= python3
CONSTRAINTS ?= -c constraints.txt
RUN = .venv/bin/python
# The networks are small: one thread is fastest, and results do not depend on the number.
export OMP_NUM_THREADS ?= 1
export MPLBACKEND ?= Agg
# Test processes: two of them take 6 minutes where one takes 9, compiling the engine included.
JOBS ?= 2
# Tests that take a minute together, once the engine is compiled, and reach every room and every core dependency.
FAST = tests/physics tests/features tests/systems tests/recordings tests/cli/test_parser.py tests/cli/test_main.py \
  tests/cli/test_ic.py tests/cli/test_simulate.py tests/engine/test_compilation.py tests/engine/test_networks.py \
  tests/simulation/test_request.py tests/training/session tests/test_known_faults.py

.PHONY: demo test test-oldest validate docs lint lock clean

demo: .venv/.ready
	$(RUN) examples/demo.py

# The engine is compiled first, by one process: tests that start programs give them a time without that.
test: .venv/.ready
	$(RUN) -m aitimestepper doctor --compile
	$(RUN) -m pytest -n $(JOBS)

# The fast part of the tests on the oldest dependencies that pyproject.toml states; PyTorch and the test tools are the
# pinned ones.
test-oldest: .venv-oldest/.ready
	NUMBA_CACHE_DIR=.venv-oldest/numba .venv-oldest/bin/python -m aitimestepper doctor --compile
	NUMBA_CACHE_DIR=.venv-oldest/numba .venv-oldest/bin/python -m pytest -n $(JOBS) $(FAST)

validate: .venv/.ready
	$(RUN) -m pytest -m validation

docs: .venv/.ready
	$(RUN) -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build
	@echo "docs/_build/index.html"

lint: .venv/.ready
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "aitimestepper needs Python 3.11 or newer; name one with: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up .venv (about one minute, 2 GB) ..."
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e '.[dev]'
	@touch .venv/.ready

.venv-oldest/.ready: pyproject.toml constraints.txt constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt \
	  -e '.[train,plot,solar,rebound]' pytest pytest-timeout pytest-xdist hypothesis
	@touch .venv-oldest/.ready

# Constraints pin what is asked for and nothing of an accelerator: those come with torch's own pins where they are.
lock: .venv/.ready
	$(RUN) -m pip freeze --exclude-editable | sed -e 's/+cpu//' | grep -v -i -E '^(nvidia-|triton)' > constraints.txt

clean:
	rm -rf .venv .venv-oldest runs docs/_build docs/gallery .pytest_cache .mypy_cache .ruff_cache
