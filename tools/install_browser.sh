#!/usr/bin/env bash
# Find a Chromium for the tests of the report, or install Debian's where that is possible.
# Prints its path; nothing, and the reason on standard error, where there is none.
set -euo pipefail

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "${name}"; then
        exit 0
    fi
done

if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "tools/install_browser.sh: no Chromium was found: the report's tests in a browser are" \
        "left out (on Debian and Ubuntu: sudo apt-get install chromium)." >&2
    exit 0
fi

log=$(mktemp)
trap 'rm -f -- "${log}"' EXIT
echo "[browser] installing Chromium, for the tests of the report" >&2
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install --yes --no-install-recommends chromium fonts-dejavu-core; }
if ! { install || { apt-get update && install; }; } >"${log}" 2>&1; then
    tail -n 5 -- "${log}" >&2
    echo "tools/install_browser.sh: Chromium could not be installed, see above: the report's" \
        "tests in a browser are left out." >&2
    exit 0
fi
command -v chromium
