# Everything a developer or CI does, one word each. Only Python (3.11 or newer) and make are needed beforehand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=2 $(BIN)/python -m pytest

.PHONY: quickstart test test-lowest test-long test-slow test-gpu check fuzz bench docs docs-pictures report-pictures wheel test-wheel clean help

help:
	@echo "make quickstart   set up, fit the embedded digits, say where the report is"
	@echo "make test         set up what tests need and run them"
	@echo "make check        lint, types, import layers, licences"
	@echo "make test-lowest  the tests with the lowest versions allowed, in an environment of its own"
	@echo "make test-long    what takes many seconds;  make test-slow  what takes minutes;  make test-gpu  those that need CUDA;  make fuzz  the parsers"
	@echo "make bench        straightedge against its peers;  make docs  the site;  make test-wheel  tests on the wheel"

# Installed with pip: where an index offers a CPU build of torch, pip takes it.
$(VENV)/.run: requirements/run.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements/run.txt
	$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt requirements/no-deps.txt
	$(PIP) -r requirements/dev.txt
	$(PIP) --no-deps -r requirements/no-deps.txt
	@touch $@

$(VENV)/.docs: $(VENV)/.dev requirements/docs.txt
	$(PIP) -r requirements/docs.txt
	@touch $@

$(VENV)/.bench: $(VENV)/.dev requirements/bench.txt
	$(PIP) -r requirements/bench.txt
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev requirements/fuzz.txt
	$(PIP) -r requirements/fuzz.txt
	@touch $@

quickstart: $(VENV)/.run
	$(BIN)/straightedge fit digits

test: $(VENV)/.dev
	$(PYTEST) -n 2 --dist worksteal

# What takes many seconds a test: notebooks, kills, the benchmarks' own parts. CI runs it after make test.
test-long: $(VENV)/.dev
	$(PYTEST) -n 2 --dist worksteal -m "long and not slow and not gpu"

test-slow: $(VENV)/.dev
	$(PYTEST) -m "slow and not gpu"

# The quick tests with the lowest versions that pyproject.toml allows, in an environment of its own, on Python 3.11.
# torch comes with CUDA, which is gigabytes, where the index has no other build: LOWEST_TORCH=torch==2.13.0 takes another.
# Left out: the benchmarks, whose peers are pinned elsewhere, the site, and what is built from the whole checkout.
LOWEST := build/lowest-venv
LOWEST_TORCH ?= torch==2.9.0
$(LOWEST)/.ready: requirements/lowest.txt pyproject.toml
	rm -rf $(LOWEST) && python3.11 -m venv $(LOWEST)
	sed 's/^torch==.*/$(LOWEST_TORCH)/' requirements/lowest.txt > $(LOWEST)/asked.txt
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install --quiet -r $(LOWEST)/asked.txt
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --editable .
	@touch $@

test-lowest: $(LOWEST)/.ready
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=2 $(LOWEST)/bin/python -m pytest -n 2 --dist worksteal \
	  --ignore-glob "tests/test_benchmarks*" --ignore-glob "tests/test_docs*" --ignore tests/test_playground.py

test-gpu: $(VENV)/.dev
	$(PYTEST) -m gpu

check: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/licences.py

# Ten minutes for each parser of the project's own: FUZZ_SECONDS=60 for a short look.
fuzz: $(VENV)/.fuzz
	for parser in idx cifar zip tar npz pickle model run arguments; do \
	  $(BIN)/python tests/support/fuzz/run.py $$parser $(FUZZ_SECONDS) || exit 1; done

bench: $(VENV)/.bench
	$(BIN)/straightedge bench

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Screenshots of the built site in site/pictures, by the browsers at hand.
docs-pictures: docs
	$(BIN)/python docs/tools/pictures.py site

# Screenshots of the reports of fifteen sources in build/report-pictures, at three widths, light and dark.
report-pictures: $(VENV)/.dev
	STRAIGHTEDGE_PICTURES=build/report-pictures $(PYTEST) -m long tests/test_sources.py

wheel: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir dist .

# The tests on the built wheel in an environment of its own, away from the source tree.
test-wheel: wheel
	rm -rf build/wheel-venv && $(PYTHON) -m venv --system-site-packages build/wheel-venv
	echo "import site; site.addsitedir('$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")')" \
	  > build/wheel-venv/lib/$$(ls build/wheel-venv/lib | head -1)/site-packages/zz_parent.pth
	build/wheel-venv/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --force-reinstall dist/*.whl
	cd build && OMP_NUM_THREADS=1 STRAIGHTEDGE_WHEEL=1 wheel-venv/bin/python -P -m pytest -p no:cacheprovider -c ../pyproject.toml --rootdir .. ../tests/test_wheel.py

clean:
	rm -rf $(VENV) build dist site
