#!/usr/bin/env bash
# Every check, in one command: format, lint, types, shell scripts, documentation, tests.
# Installs what is missing first.
#   ./test.sh                           everything
#   ./test.sh --fast                    in a minute: no torch, no slow test, no browser
#   ./test.sh tests/corpus -k speaker   arguments go to pytest
#   ./test.sh --python 3.12 ...         with another Python, in .venv-3.12
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"

fast=false
if [[ ${1-} == --python ]]; then
    if [[ ! ${2-} =~ ^3\.[0-9]+$ ]]; then
        echo "test.sh: error: --python takes a version, such as 3.12, not '${2-}'." >&2
        exit 1
    fi
    export CLTM_VENV=.venv-$2 PYTHON=python$2
    shift 2
fi
if [[ ${1-} == --fast ]]; then
    fast=true
fi
tools/install.sh --with_tests true
if [[ ${fast} == false ]]; then
    CLTM_BROWSER=$(tools/install_browser.sh)
    export CLTM_BROWSER
fi
. ./path.sh

failed=()

# check TITLE COMMAND...: run one check and remember whether it failed.
check() {
    local title=$1
    shift
    printf '\n== %s\n' "${title}"
    "$@" || failed+=("${title}")
}

list_shell_scripts() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard -- '*.sh' .ci/run
    else
        find . -path './.venv*' -prune -o \( -name '*.sh' -o -path ./.ci/run \) -print0
    fi
}

check_shell_scripts() {
    local -a scripts
    mapfile -d '' -t scripts < <(list_shell_scripts)
    shellcheck --external-sources --source-path=SCRIPTDIR -- "${scripts[@]}"
}

# Two processes pay for a whole run only: each has to import ESPnet first.
workers=()
# (nproc would count OMP_NUM_THREADS, which path.sh sets to 1.)
if [[ $# == 0 || ${fast} == true ]] && (($(env -u OMP_NUM_THREADS nproc) > 1)); then
    workers=(-n 2 --dist worksteal)
fi

check "Python format (ruff format --check)" ruff format --check
check "Python lint (ruff check)" ruff check
check "Shell scripts (shellcheck)" check_shell_scripts
if [[ ${fast} == false ]]; then
    check "Types (mypy)" mypy
fi
# Last, so that its closing line is the last one.
check "Tests (pytest)" python3 -m pytest "${workers[@]}" "$@"

if ((${#failed[@]} > 0)); then
    printf 'Failed:' >&2
    printf ' %s;' "${failed[@]}" >&2
    printf '\n' >&2
    exit 1
fi
