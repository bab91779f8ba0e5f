#!/usr/bin/env bash
# Rewrites every lock file of this folder from pyproject.toml (`make lock`).
# All extras are solved together first, so that any two lock files can be installed side by side.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}

compile() { # compile OUTPUT ARGUMENT...
    local output=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-annotate --custom-compile-command "make lock" "$@" pyproject.toml --output-file "$output"
}

together=$(mktemp)
trap 'rm -f "$together"' EXIT
compile "$together" --extra all --extra benchmark --extra fuzz --extra dev
compile requirements/base.txt --constraint "$together"
for extra in curate train serve garden benchmark fuzz all; do
    compile "requirements/$extra.txt" --constraint "$together" --extra "$extra"
done
compile requirements/dev.txt --constraint "$together" --extra dev --extra curate --extra train --extra serve --extra garden --extra benchmark
