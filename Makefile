# Everything starts from a bare checkout and a Python >= 3.11: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# In the order of the files: xdist's own begins those of few tests last, and they are the long ones.
TESTS := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: demo test quick lint types docs dist format clean

demo: $(INSTALLED)
	$(BIN)/vidmoco demo

# The tests come last, so that the last line is pytest's own summary. Each process holds a torch: eight at most.
test: lint types
	$(TESTS)

# The tests of logic: those that start processes or train are left out.
quick: $(INSTALLED)
	$(TESTS) -m 'not slow'

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

# The site, in build/site. Warnings are errors, and nothing is fetched.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --config-file docs/site/mkdocs.yml

# Wheel and source distribution, checked and tried in empty environments; DEMO=1 also runs the demo there.
PYTHONS ?= 3.11 3.12 3.13
dist: $(INSTALLED)
	$(BIN)/python tools/check_wheel.py --pythons $(PYTHONS) $(if $(DEMO),--demo)

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[eval,test]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
