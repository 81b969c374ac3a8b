# Everything needs Python 3.11 or newer and make; the first call sets up .venv from the pinned requirements.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEPLOY_VENV := .venv-deploy
DEPLOY_READY := $(DEPLOY_VENV)/.ready

.PHONY: help demo dev bench soak test test-deploy test-aws test-long lint types check setup setup-deploy lock clean
help:
	@echo "make demo    set up, start the UI, land generated files, show the rows (Ctrl-C stops it)"
	@echo "make dev     set up, start the UI with the sensors on (http://127.0.0.1:3000)"
	@echo "make test    set up, run the tests"
	@echo "make test-long   the tests that take many seconds each (half an hour)"
	@echo "make test-deploy  set up CDK and its linters, hold the templates for AWS against what is promised of them"
	@echo "make test-aws    runs as tasks of an imitated ECS: from an object in a bucket to rows (minutes)"
	@echo "make check   lint, types, import rules, tests: what CI runs, and beside it test-deploy and test-aws"
	@echo "make bench   measure against named peers (minutes)"
	@echo "make soak    five toy sources under a steady load for 30 minutes: what is lost, what grows"
	@echo "make lock    pin the requirements anew"
	@echo "make clean   remove .venv and .venv-deploy (never .strandline, which holds data)"

demo: setup
	@$(BIN)/strandline demo $(OPTIONS)

dev: setup
	@$(BIN)/strandline dev $(OPTIONS)

# Three at once, also on two cores: most tests wait for processes. A file's tests stay together, for they share servers.
test: setup
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "not long and not aws" $(OPTIONS)

# What is left out above: whole deployments, kills, benchmarks and documents carried out, each many seconds.
test-long: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile -m long --timeout 900 $(OPTIONS)

# Templates of all profiles, made offline. Its tools stay apart: nothing of them is needed to work on the platform.
test-deploy: setup-deploy
	$(DEPLOY_VENV)/bin/python -m pytest -c deploy/pytest.ini deploy/tests $(OPTIONS)

# Servers, a daemon and tasks that really run, with faults: docs/run-launching.md says what it proves.
test-aws: setup
	$(BIN)/python -m pytest tests/aws -m "aws and not long" --timeout 900 $(OPTIONS)

bench: setup
	$(BIN)/python -m bench $(OPTIONS)

soak: setup
	$(BIN)/python -m bench.soak $(OPTIONS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

check: lint types test

setup: $(READY)

$(READY): requirements-setup.txt requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.14 is needed, and none was found. Install it, or: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c "import ensurepip, venv" || { echo "$(PYTHON) has no venv module (on Debian: apt-get install python3-venv)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-setup.txt
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@# Plain `dagster dev`, started here, then means the same instance as `strandline dev` and `strandline drain`.
	@mkdir -p .strandline/dagster && test -f .strandline/dagster/dagster.yaml || cp deploy/local/dagster.yaml .strandline/dagster/
	@test -f .env || echo 'DAGSTER_HOME=$${DAGSTER_HOME:-$(CURDIR)/.strandline/dagster}' > .env
	@touch $(READY)

setup-deploy: $(DEPLOY_READY)

$(DEPLOY_READY): requirements-setup.txt requirements-deploy.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.14 is needed, and none was found. Install it, or: make PYTHON=/path/to/python"; exit 1; }
	test -x $(DEPLOY_VENV)/bin/python || $(PYTHON) -m venv $(DEPLOY_VENV)
	$(DEPLOY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-setup.txt
	$(DEPLOY_VENV)/bin/uv pip sync --quiet --compile-bytecode --python $(DEPLOY_VENV)/bin/python --require-hashes requirements-deploy.txt
	@touch $(DEPLOY_READY)

lock: setup
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --group build -c requirements-dev.txt -o deploy/requirements-build.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 --group deploy -o requirements-deploy.txt

clean:
	rm -rf $(VENV) $(DEPLOY_VENV)
