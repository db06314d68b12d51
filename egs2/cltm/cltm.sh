#!/usr/bin/env bash
# The recipe that gender1, spk1 and asr1 set options of: the repository's run.sh, or, where
# this folder lies in another checkout, such as ESPnet's, the installed package's.
set -euo pipefail

root=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../..
if [[ -d ${root}/espnet2_cltm ]]; then
    exec "${root}/run.sh" "$@"
fi
if ! command -v cltm >/dev/null; then
    printf '%s: error: the command cltm is missing: install the package (pip install).\n' "${0##*/}" >&2
    exit 1
fi
exec cltm run "$@"
