# Everything a developer types. Each target makes what it needs; nothing is installed outside .venv but by `make peers`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
KEEP   ?=
FAST   := tests/unit tests/vectors tests/property tests/playbook tests/fuzz
RUNS   ?= 1000000
MOVES  ?= 1000
# The newest glibc that the bundle may need; empty for any. Releases have 2.28.
MAX_GLIBC ?=
PACKED := $(shell find src tools/bundle deploy/bundle deploy/requirements dimse-config docs -type f -not -name '*.pyc') \
	pyproject.toml README.md LICENSE CHANGELOG.md

.PHONY: help demo check fuzz audit test chaos soak bench availability bundle package-test lock peers format generate clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: $(VENV)/.demo ## the main job: real images across two proxies and back (KEEP=1 stays up)
	@$(BIN)/dimse-proxy demo $(if $(KEEP),--keep)

check: $(VENV)/.check ## format, lint (security rules, scripts, workflows), strict types, import contracts, fast tests
	$(BIN)/ruff format --check src tests tools bench examples
	$(BIN)/ruff check src tests tools bench examples
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck deploy/bundle/*.sh tools/*.sh .ci/run
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/bundle/docker-compose.yml deploy/compose/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --quiet --no-progress .github
	$(BIN)/python -m pytest -q $(FAST) --cov --cov-branch --cov-report= --cov-config=pyproject.toml
	$(BIN)/python tools/check_coverage.py upper_layer dimse tunnel queueing

fuzz: $(VENV)/.fuzz ## a million inputs (RUNS=) for each decoder, guided by coverage
	for target in pdus command_sets tunnel_frames control_messages data_sets; do \
		$(BIN)/python -m tests.fuzz.run $$target $(RUNS) || exit 1; done

audit: $(VENV)/.audit ## known vulnerabilities of what is installed; asks pypi.org, so nothing else depends on it
	$(BIN)/pip freeze --exclude-editable > $(VENV)/audited.txt
	$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r $(VENV)/audited.txt

test: $(VENV)/.check peers ## all tests, the real peers included
	$(BIN)/python -m pytest -q -m "not alone and not packaged" -n 2 --dist loadfile
	$(BIN)/python -m pytest -q -m "alone and not packaged"

chaos: $(VENV)/.check peers ## the fault bench in its long form: 100 faults in a row, 100 kills with a queue, 45 minutes
	@CHAOS=long $(BIN)/python -m pytest -q -s tests/chaos

soak: $(VENV)/.check ## ten minutes of mixed load with a fault every five seconds (SOAK_SECONDS), and nothing left over
	@$(BIN)/python -m pytest -q -s tests/chaos/soak.py

bench: $(VENV)/.check peers ## figures beside everything else there is, an hour (QUICK=1: three minutes), and docs/benchmarks.md
	@$(BIN)/python -m bench $(if $(QUICK),--quick)

availability: $(VENV)/.check peers ## two instances a side: 1000 C-MOVEs of two askers (MOVES), instances killed and stopped
	@MOVES=$(MOVES) $(BIN)/python -m pytest -q -s tests/integration/availability

bundle: dist/.bundle ## dist/dicom-dimse-proxy-<version>.tar: all in one, for Linux without Python; the wheel as well

package-test: $(VENV)/.check peers $(if $(PACKED_BUNDLE),,bundle) ## the bundle in an empty Debian, and the Dockerfile's steps without an engine
	$(BIN)/python -m pytest -q -m packaged tests/packaged

peers: ## the DICOM peers that the tests talk to, from Debian's packages
	@tools/install_peers.sh

format: $(VENV)/.check ## format and mend what can be mended
	$(BIN)/ruff format src tests tools bench examples
	$(BIN)/ruff check --fix src tests tools bench examples

generate: $(VENV)/.check ## what is generated: UID names, dimse-config, the state diagram
	for tool in tools/generate_*.py; do $(BIN)/python $$tool || exit 1; done

LOCK = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' --output-file

lock: $(VENV)/.bundle ## the versions that bundle and image are made of, the newest allowed ones, with their hashes
	$(LOCK) deploy/requirements/runtime.txt pyproject.toml
	$(LOCK) deploy/requirements/image.txt --constraint deploy/requirements/runtime.txt --extra kubernetes --extra otel pyproject.toml
	$(LOCK) deploy/requirements/wheel.txt --group wheel
	$(LOCK) deploy/requirements/build.txt --constraint deploy/requirements/runtime.txt --group bundle

clean: ## away with everything that was made
	rm -rf $(VENV) build dist .coverage .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'

$(VENV)/.demo: $(VENV)/bin/pip pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.check: $(VENV)/.demo
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[kubernetes,otel]' --group test
	@touch $@

dist/.bundle: $(PACKED)
	$(PYTHON) -m tools.bundle --max-glibc '$(MAX_GLIBC)'
	@touch $@

$(VENV)/.bundle: $(VENV)/.demo
	$(BIN)/pip install --quiet --disable-pip-version-check --group bundle
	@touch $@

$(VENV)/.fuzz: $(VENV)/.demo
	$(BIN)/pip install --quiet --disable-pip-version-check --group fuzz
	@touch $@

$(VENV)/.audit: $(VENV)/.demo
	$(BIN)/pip install --quiet --disable-pip-version-check --group audit
	@touch $@
