# Everything a newcomer needs is Python 3.11+ and make; each target sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
.PHONY: help demo test check bench format lock clean audit-docs audit-devset audit-routes audit-size audit-fuzz audit-sarif audit-fresh bench-audit torture mutation loss-table

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / — /'

.venv/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv-oldest/.ready: requirements-oldest.lock pyproject.toml
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-oldest.lock
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: .venv/.ready  ## the main job on one hour of real traffic: must balance
	$(BIN)/tallystick demo

test: .venv/.ready .venv-oldest/.ready  ## the whole test suite, PostgreSQL included
	$(BIN)/python -m pytest -n 4 --dist worksteal
	.venv-oldest/bin/python -m pytest tests/integrations

check: .venv/.ready  ## format, lint, types, import contracts, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/house

BENCH_ENTRIES ?= 1000000
bench: .venv/.ready  ## ratios against the raw limits; BENCH_ENTRIES=5000000 for the long history
	$(BIN)/python -m benchmarks.ledger
	$(BIN)/python -m benchmarks.endpoint
	$(BIN)/python -m benchmarks.relay 1000000
	$(BIN)/python -m benchmarks.compaction
	$(BIN)/python -m benchmarks.holds
	$(BIN)/python -m benchmarks.streams
	$(BIN)/python -m benchmarks.usage $(BENCH_ENTRIES)
	$(MAKE) bench-audit

TORTURE_SECONDS ?= 600
TORTURE_KILLS ?= 10000
TORTURE_SEEDS ?= 0..9999
torture: .venv/.ready  ## kills and power cuts for TORTURE_SECONDS, at most TORTURE_KILLS, then the simulation's TORTURE_SEEDS; writes docs/proof
	$(BIN)/python -m torture all --seconds $(TORTURE_SECONDS) --count $(TORTURE_KILLS)
	$(BIN)/python -m tests.simulation --seeds $(TORTURE_SEEDS)

mutation: .venv/.ready  ## take away each safeguard of delivery and reconciliation: its test must fail
	$(BIN)/python -m tests.mutation

loss-table: .venv/.ready  ## answered-but-lost usage, against two peers from the registry; writes docs/proof/loss.md
	$(BIN)/python -m benchmarks.loss docs/proof/loss.md

format: .venv/.ready  ## rewrite the sources in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## resolve the dependencies again (needs uv)
	$(COMPILE) --extra postgres --extra stripe --extra sandbox --extra audit --group dev pyproject.toml -o requirements.lock
	$(COMPILE) --group oldest pyproject.toml -o requirements-oldest.lock

audit-docs: .venv/.ready  ## write the page of finding codes from the rules
	$(BIN)/python -m tallystick.audit.handbook.page > docs/audit/findings.md

audit-routes: .venv/.ready  ## route recall on a folder of checkouts: CHECKOUTS=folder
	$(BIN)/python benchmarks/audit/routes.py $(CHECKOUTS)

audit-size: .venv/.ready  ## how big tallystick[audit] is, installed alone
	$(BIN)/python benchmarks/audit/size.py

audit-devset: .venv/.ready  ## verdicts against labels: LABELS=file.jsonl CHECKOUTS=folder
	$(BIN)/python benchmarks/audit/devset.py $(LABELS) $(CHECKOUTS)

audit-fuzz: .venv/.ready  ## fuzz the auditor's readers for FUZZ_SECONDS (60)
	$(BIN)/python benchmarks/audit/fuzz.py

audit-sarif: .venv/.ready  ## the SARIF report against the official schema (needs npm)
	$(BIN)/python benchmarks/audit/sarif.py

audit-fresh: .venv/.ready  ## time the auditor on a fresh Next.js and a fresh FastAPI project
	$(BIN)/python benchmarks/audit/fresh.py

bench-audit: .venv/.ready  ## the auditor on a synthetic monorepo, against semgrep
	$(BIN)/python benchmarks/audit/bench.py

clean:  ## remove what make made
	rm -rf .venv .venv-* .mypy_cache .ruff_cache
