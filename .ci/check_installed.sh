#!/usr/bin/env bash
# Build the wheel, install it alone into a fresh environment, and use it from outside the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

pip=(-m pip --disable-pip-version-check --quiet)
.venv/bin/python "${pip[@]}" wheel --no-deps --wheel-dir "$scratch/dist" .
.venv/bin/python -m venv "$scratch/venv"
"$scratch/venv/bin/python" "${pip[@]}" install -c constraints.txt "$scratch"/dist/*.whl
cd "$scratch"
venv/bin/python -I - "$root" <<'PYTHON'
import sys

import openaudiohook

assert not openaudiohook.__file__.startswith(sys.argv[1]), openaudiohook.__file__
for name in openaudiohook.__all__:
    getattr(openaudiohook, name)
PYTHON
venv/bin/openaudiohook --version
venv/bin/openaudiohook --help >/dev/null
for command in $(venv/bin/python -I -c 'from openaudiohook.cli import COMMANDS; print(*COMMANDS)'); do
    venv/bin/openaudiohook "$command" --help >/dev/null
done
echo "the installed wheel imports, and every command shows its help"
