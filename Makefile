# Two commands are enough: `make demo` and `make check`. Each sets up what it needs by itself.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON := .venv/bin/python
VENV := .venv/.stamp
JARS := .ebbwatch/kafka/.stamp
BESIDE := .ebbwatch/.tests-stamp
# With a Kafka of one's own neither Java nor Maven is asked for.
DEMO_KAFKA = $(if $(EBBWATCH_KAFKA),,$(JARS))
# Two processes, a file of tests in one of them: most tests wait for services and not for a core.
WHOLE = -n 2 --dist loadfile --no-loadscope-reorder --durations=15 --doctest-modules schemas services tests
TEST_KAFKA = $(if $(EBBWATCH_TEST_KAFKA),,$(JARS))

.PHONY: help install fmt lint types floors test check demo bench faults sabotage fuzz quality
.PHONY: schemas lock
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV) $(DEMO_KAFKA) ## set up .venv and the local Kafka's jars

fmt: $(VENV) ## format the code and mend what a tool can mend
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

lint: $(VENV) ## style, names, docstrings, and no hidden clock or environment (ruff)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: $(VENV) ## types (mypy, strict)
	$(PYTHON) -m mypy

floors: $(VENV) ## which module may import which (import-linter)
	.venv/bin/lint-imports

test: $(VENV) $(TEST_KAFKA) $(BESIDE) ## all tests and examples; some of them: make test ARGS=tests/unit
	$(PYTHON) -m pytest $(or $(ARGS),$(WHOLE))

check: $(VENV) $(TEST_KAFKA) $(BESIDE) ## the gate: lint, types, floors, test
	@for gate in lint types floors test; do \
	  printf '== %s\n' "$$gate"; \
	  $(MAKE) --no-print-directory "$$gate" ARGS=; \
	done

demo: $(VENV) $(DEMO_KAFKA) ## the product on real data; unattended: make demo ARGS=--headless
	@.venv/bin/ebbwatch demo $(ARGS)

bench: $(VENV) $(TEST_KAFKA) ## figures, one JSON line each, beside plain Faust in the same run
	@$(PYTHON) -m tests.bench $(ARGS)

faults: $(VENV) $(JARS) $(BESIDE) ## break everything: make faults SEEDS=3 SCENARIO=NAME SEED=17
	@$(PYTHON) -m tests.faults --seeds $(or $(SEEDS),1) \
	  $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(SEED),--seed $(SEED))

sabotage: $(VENV) $(JARS) $(BESIDE) ## break the code on purpose; the suite must notice: make sabotage NAME=...
	@$(PYTHON) -m tests.faults.sabotage $(NAME)

fuzz: $(VENV) $(TEST_KAFKA) ## bad input for longer: make fuzz SECONDS=3600 TARGET=NAME
	@$(PYTHON) -m tests.fuzz $(TARGET) --seconds $(or $(SECONDS),600)
	@$(if $(TARGET),,FUZZ_EXAMPLES=200 $(PYTHON) -m pytest -q tests/fuzz/test_bounds.py \
	  tests/integration/test_bad_input.py)

quality: $(VENV) ## detection measured on real accounts: make quality SEED=7 CASES=folder
	@$(PYTHON) -m tests.quality $(if $(SEED),--seed $(SEED)) $(if $(CASES),--cases $(CASES)) $(ARGS)

schemas: $(VENV) ## generate schemas/json from the code
	$(PYTHON) -m schemas.generate

lock: $(VENV) ## resolve the lock files anew from pyproject.toml
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --extra local --extra dev -c requirements.lock \
	  pyproject.toml -o requirements-dev.lock

$(VENV): requirements-dev.lock pyproject.toml
	@deploy/setup.sh venv

$(JARS): deploy/kafka/pom.xml
	@deploy/setup.sh kafka

$(BESIDE): deploy/setup.sh tests/acceptance/verifiers/package-lock.json
	@deploy/setup.sh tests
