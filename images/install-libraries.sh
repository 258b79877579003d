#!/usr/bin/env bash
# Install the libraries of some roles into /opt/venv, as pyproject.toml names them, in the versions of the lock.
# Usage: install-libraries ROLE… [-- PACKAGE…]     TORCH: the build of torch, where the base brings no wheels of its own
set -euo pipefail

extras=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do extras+=(--extra "$1"); shift; done
[ "${1:-}" = -- ] && shift

# With wheels at hand uv takes torch from there, and must not be led elsewhere.
torch=()
[ -n "${UV_FIND_LINKS:-}" ] || torch=(--torch-backend "${TORCH:-cpu}")

uv venv --quiet /opt/venv
uv pip install --quiet --python /opt/venv "${torch[@]}" --constraint requirements/dev.txt \
  --requirement pyproject.toml "${extras[@]}" "$@"

# The image is named for what it holds, and wheels that come with the base may be of another build.
if [[ ${TORCH:-cpu} == cu* ]] && ! /opt/venv/bin/python -c 'import sys, torch; sys.exit(torch.version.cuda is None)'; then
  echo "install-libraries: torch was to be its build $TORCH, and the one that came has no CUDA: take a base without wheels" \
    "of torch (UV_FIND_LINKS is ${UV_FIND_LINKS:-not set}), or one with wheels of that build" >&2
  exit 1
fi

# Tests of the libraries and headers for compilers are of no use to a program that only runs.
find /opt/venv -depth -type d \( -name tests -o -path '*/torch/include' -o -path '*/pyarrow/include' \) -exec rm -rf {} +
# Some libraries hold files for a newer Python, which do not compile, and are never imported.
python3 -m compileall -qq -j 0 --invalidation-mode unchecked-hash /opt/venv/lib || true
chmod -R a+rX,go-w /opt/venv
