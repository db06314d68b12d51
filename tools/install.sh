#!/usr/bin/env bash
# Put cltm's Python environment in place: .venv at the repository root, or, with
# ESPNET_ROOT set, what is missing in that ESPnet's environment.
#
# May be interrupted and repeated at any moment: a step that is done is not done again,
# and the file that says "complete" is written last. `rm -rf .venv` starts afresh.
set -euo pipefail

root=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")
tools=${root}/tools
venv=$(readlink -m -- "${root}/${CLTM_VENV:-.venv}") # which several checkouts may share
state=${venv}/.cltm # marks .venv as ours, and keeps what is known of its progress
log=${state}/install.log

python=${PYTHON:-}
torch_index_url=${TORCH_INDEX_URL:-}
with_tests=false
usage="Usage: tools/install.sh [--python PYTHON] [--torch_index_url URL] [--with_tests true]

Installs cltm's Python environment into .venv, or, with ESPNET_ROOT set, adds what is
missing to that ESPnet's environment. run.sh and test.sh call it by themselves.

  --python           Python to use, 3.10 to 3.13 (default: \$PYTHON, or the first found)
  --torch_index_url  package index that torch is taken from, for instance one with CPU
                     builds only (default: \$TORCH_INDEX_URL, or pip's own setting)
  --with_tests       true: install what ./test.sh needs, too (default: false)"

while (($# > 0)); do
    case $1 in
        --help | -h)
            printf '%s\n' "${usage}"
            exit 0
            ;;
        --python=* | --torch_index_url=* | --with_tests=*)
            name=${1%%=*}
            printf -v "${name#--}" '%s' "${1#*=}"
            shift
            ;;
        --python | --torch_index_url | --with_tests)
            if (($# < 2)); then
                printf 'tools/install.sh: error: %s needs a value.\n' "$1" >&2
                exit 1
            fi
            printf -v "${1#--}" '%s' "$2"
            shift 2
            ;;
        *)
            printf "tools/install.sh: error: '%s' is not an option; --help lists them.\n" "$1" >&2
            exit 1
            ;;
    esac
done
if [[ ${with_tests} != true && ${with_tests} != false ]]; then
    printf "tools/install.sh: error: --with_tests takes true or false, not '%s'.\n" "${with_tests}" >&2
    exit 1
fi

# Megabytes on disk, while installing: everything with torch's CPU build, with its
# CUDA build, and what comes after torch.
readonly cpu_megabytes=2500 cuda_megabytes=8000 rest_megabytes=1500

die() {
    printf 'tools/install.sh: error: %s\n' "$1" >&2
    exit 1
}

step() { printf '[%s] %s\n' "$1" "$2" >&2; }

on_interrupt() {
    [[ -n ${CLTM_INTERRUPT_TOLD_BY:-} ]] ||
        echo "tools/install.sh: interrupted; the same command goes on from here." >&2
    exit 130
}
trap on_interrupt INT TERM

# ---------------------------------------------------------------- what is there

python_version() { # of the command $1; nothing if it does not run
    "$1" -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

is_suitable() { [[ $1 =~ ^3\.1[0-3]$ ]]; }

# Set ${python} to a Python that will do.
find_python() {
    local candidate version found=""
    local remedy="Python 3.10 to 3.13 is needed: install one (on Debian and\
 Ubuntu: sudo apt install python3 python3-venv), or name it with --python."
    if [[ -n ${python} ]]; then
        version=$(python_version "${python}")
        [[ -n ${version} ]] || die "the Python asked for, ${python}, is missing or does not run. ${remedy}"
        is_suitable "${version}" || die "the Python asked for, ${python}, is Python ${version}. ${remedy}"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
        version=$(python_version "${candidate}")
        if is_suitable "${version}"; then
            python=${candidate}
            return
        fi
        [[ -z ${version} ]] || found+=" ${candidate} is Python ${version}."
    done
    die "no suitable Python was found.${found} ${remedy}"
}

# Identifies what is to be installed; changes with the requirements.
fingerprint() {
    cat -- "${tools}/requirements.txt" "${tools}/requirements-espnet.txt" "$@" |
        sha256sum | cut -c 1-64
}

# is_complete NAME WANTED: whether ${state}/NAME holds the text WANTED.
is_complete() { [[ -f ${state}/$1 && $(<"${state}/$1") == "$2" ]]; }

# mark_complete NAME TEXT: write it whole or not at all.
mark_complete() {
    printf '%s\n' "$2" >"${state}/$1.tmp"
    mv -- "${state}/$1.tmp" "${state}/$1"
}

megabytes_free() { df --output=avail -BM -- "${root}" | tail -n 1 | tr -dc 0-9; }

megabytes_used() { du -sm -- "${venv}" 2>/dev/null | cut -f 1; }

in_words() { # a number of megabytes
    if (($1 < 1000)); then
        printf '%d MB' "$1"
    else
        printf '%d.%d GB' $(($1 / 1000)) $(($1 % 1000 / 100))
    fi
}

# need_space MEGABYTES FOR REMEDY: the whole must fit; what is there counts.
need_space() {
    local free used
    free=$(megabytes_free)
    used=$(megabytes_used)
    if ((free + used < $1)); then
        die "$2 needs about $(in_words "$1"), ${root} has $(in_words "${free}")\
 free: $3"
    fi
}

# ---------------------------------------------------------------- pip

# Turn pip's log of a failed step into one sentence. $1: what was being installed.
explain_failure() {
    local network='connection broken by|Failed to establish a new connection'
    network+='|Temporary failure in name resolution|NameResolutionError|Read timed out'
    network+='|ConnectTimeout|Max retries exceeded|ProxyError|Could not fetch URL'
    local last
    last=$(grep -E '(^|[0-9] )ERROR: ' -- "${log}" | tail -n 1 |
        sed -E 's/^.*ERROR: //' | cut -c 1-300 || true)
    if grep -qiE 'No space left on device|Disk quota exceeded' -- "${log}"; then
        die "the disk filled up while installing $1: free some space around ${root} and\
 repeat the command; it goes on from here."
    elif grep -qE 'Permission denied|Read-only file system' -- "${log}"; then
        die "$1 cannot be installed, the environment is not writable for you (see\
 ${log})."
    elif grep -qE "${network}" -- "${log}"; then
        die "the network cannot be reached, $1 cannot be fetched: check the connection\
 (behind a proxy, set https_proxy; with a package mirror, pip's index-url) and repeat\
 the command; it goes on from here."
    elif [[ ${last} == *"No matching distribution found"* ]]; then
        die "pip finds no build of ${last##*for } for this machine ($(uname -sm),\
 Python $(python_version "${venv}/bin/python")): cltm needs 64-bit Linux and a package\
 index that has it (see ${log})."
    fi
    die "$1 cannot be installed: ${last:-pip failed} (see ${log})."
}

# pip_install WHAT ARGUMENTS...: into ${target}; with progress, and a sentence where it
# fails.
pip_install() {
    local what=$1
    shift
    local -a command=("${target}" -m pip install --disable-pip-version-check --no-input
        --no-warn-conflicts --log "${log}")
    : >"${log}"
    if [[ -t 2 ]]; then # pip draws its bars
        "${command[@]}" "$@" >&2 || explain_failure "${what}"
    else # one line for each file fetched
        "${command[@]}" --progress-bar off "$@" 2>&1 |
            { grep --line-buffered -E '^ +Downloading|^Installing' >&2 || true; } ||
            explain_failure "${what}"
    fi
}

# ---------------------------------------------------------------- own environment

# Claim .venv and hold its lock until this process and its children have ended.
claim_venv() {
    if [[ -d ${venv} && ! -d ${state} && -n $(ls -A -- "${venv}") ]]; then
        die "${venv} exists, but tools/install.sh did not make it: move it away, or set\
 ESPNET_ROOT to use another environment."
    fi
    if ! mkdir -p -- "${state}" 2>/dev/null || ! { : >>"${state}/lock"; } 2>/dev/null; then
        die "${venv} cannot be made: ${root} is not writable for you, or the disk is full."
    fi
    exec 9>>"${state}/lock"
    if ! flock --nonblock 9; then
        echo "tools/install.sh: another one is at work on ${venv}: waiting for it." >&2
        flock 9
    fi
}

# An environment that lacks something, and that this user may not change.
refuse_foreign_venv() {
    local lack="is not complete, or not of these requirements"
    [[ -d ${venv} ]] || return 0
    if [[ ! -r ${venv} || ! -x ${venv} ]] || [[ -d ${state} && ! -x ${state} ]]; then
        lack="cannot be read by you"
    elif [[ ! -d ${state} || -w ${state} ]]; then
        return 0
    elif [[ -z $(python_version "${venv}/bin/python") ]]; then
        lack="its Python, $(readlink -- "${venv}/bin/python" || true), cannot be run by you"
    elif [[ -n ${python} ]] && ! venv_is_sound; then
        lack="has another Python than ${python}"
    elif [[ ${with_tests} == true ]] && packages_are_complete; then
        lack="has no tools of the tests"
    fi
    die "${venv} belongs to $(stat -c %U -- "${venv}") and ${lack}: ask for that to be\
 mended there (tools/install.sh; chmod -R a+rX), or make a copy of the repository of\
 your own."
}

# A process killed while pip wrote a package leaves its description without the file
# that pip adds at the end: pip would take such a package for installed.
remove_half_installed() {
    local directory
    for directory in "${venv}"/lib/python3.*/site-packages/*.dist-info; do
        [[ ! -d ${directory} || -e ${directory}/INSTALLER ]] || rm -rf -- "${directory}"
    done
    rm -rf -- "${venv}"/lib/python3.*/site-packages/~*
}

# Whether .venv was made to its end, by a Python that is still there and is the wanted
# one.
venv_is_sound() {
    local version
    version=$(python_version "${venv}/bin/python")
    is_suitable "${version}" || return 1
    # Where it cannot be changed, it may lie in another place than it was made in.
    is_complete venv "${version} ${venv}" ||
        [[ ! -w ${state} && -f ${state}/venv && $(<"${state}/venv") == "${version} "* ]] ||
        return 1
    [[ -z ${python} || $(python_version "${python}") == "${version}" ]]
}

# What ${state}/complete and ${state}/tests hold when those packages are all there.
wanted_packages() { echo "$(fingerprint "$@") $(python_version "${venv}/bin/python")"; }

packages_are_complete() { is_complete complete "$(wanted_packages)"; }

tests_are_complete() {
    [[ ${with_tests} == false ]] ||
        is_complete tests "$(wanted_packages "${tools}/requirements-test.txt")"
}

make_venv() {
    local package
    package="python$(python_version "${python}")-venv"
    find "${venv}" -mindepth 1 -maxdepth 1 ! -path "${state}" -exec rm -rf -- {} +
    rm -f -- "${state}"/{venv,complete,tests}
    if "${python}" -c 'import ensurepip, venv' 2>/dev/null; then
        "${python}" -m venv -- "${venv}" >"${log}" 2>&1 && return
    elif "${python}" -c 'import virtualenv' 2>/dev/null; then
        "${python}" -m virtualenv --quiet -- "${venv}" >"${log}" 2>&1 && return
    elif "${python}" -m pip --python "${python}" --version >/dev/null 2>&1; then
        if "${python}" -m venv --without-pip -- "${venv}" >"${log}" 2>&1; then
            "${python}" -m pip --python "${venv}/bin/python" install --quiet \
                --disable-pip-version-check --log "${log}" pip 2>/dev/null && return
            explain_failure pip
        fi
    else
        die "$(command -v "${python}") cannot make environments, a part of Python is\
 missing: sudo apt install ${package} (or python3-venv), then repeat the command."
    fi
    die "$(command -v "${python}") cannot make an environment in ${venv}:\
 $(tail -n 1 -- "${log}") (see ${log})."
}

# Refuse early where the disk is too small for the build of torch that pip would take.
check_space_for_torch() {
    local wanted available
    wanted=$(sed -n 's/^torch==//p' "${tools}/requirements.txt")
    : >"${log}"
    if ! available=$("${target}" -m pip index versions torch --log "${log}" \
        --disable-pip-version-check "${torch_source[@]}" 2>/dev/null); then
        explain_failure torch
    fi
    if [[ ${available} == *"${wanted}+cpu"* ]]; then
        need_space "${cpu_megabytes}" "cltm with torch's CPU build" "free some space and\
 repeat the command."
    else
        need_space "${cuda_megabytes}" "cltm with torch's CUDA build" "free some space,\
 or name a package index of CPU builds with --torch_index_url (with those,\
 $(in_words "${cpu_megabytes}") are enough), and repeat the command."
    fi
}

is_installed() { compgen -G "${venv}/lib/python3.*/site-packages/$1-*.dist-info" >/dev/null; }

install_packages() {
    local -a torch_source=()
    [[ -z ${torch_index_url} ]] || torch_source=(--index-url "${torch_index_url}")
    remove_half_installed

    step "2/${steps}" "torch"
    is_installed torch || check_space_for_torch
    # First and alone: no other package may choose the build of torch.
    pip_install torch --constraint "${tools}/requirements.txt" torch "${torch_source[@]}"

    step "3/${steps}" "the other packages"
    need_space "$(($(megabytes_used) + rest_megabytes))" "the rest of cltm's environment" \
        "free some space and repeat the command."
    pip_install "the other packages" --requirement "${tools}/requirements.txt"

    step "4/${steps}" "ESPnet"
    pip_install ESPnet --no-deps --requirement "${tools}/requirements-espnet.txt"

    step "5/${steps}" "check: everything can be imported"
    if ! "${target}" "${tools}/fit_torchaudio.py" >&2 ||
        ! "${target}" "${tools}/check_environment.py" >&2; then
        die "the environment does not work, see above: rm -rf '${venv}' and repeat the\
 command."
    fi
}

# The repository was moved or copied with its .venv: scripts in bin name the old place.
follow_move() {
    local marked old
    [[ -f ${state}/venv ]] || return 0
    marked=$(<"${state}/venv")
    old=${marked#* }
    [[ ${old} != "${venv}" ]] || return 0
    "${venv}/bin/python" -I - "${old}" "${venv}" <<'EOF' || return 0
import sys
from pathlib import Path

old, new = (place.encode() for place in sys.argv[1:])
for path in [*Path(sys.argv[2], "bin").iterdir(), Path(sys.argv[2], "pyvenv.cfg")]:
    if path.is_file() and not path.is_symlink():
        text = path.read_bytes()
        if old in text and b"\0" not in text:
            path.write_bytes(text.replace(old, new))
EOF
    mark_complete venv "${marked%% *} ${venv}"
}

install_own_environment() {
    local steps=5
    if venv_is_sound && packages_are_complete && tests_are_complete; then
        return
    fi
    refuse_foreign_venv
    [[ ${with_tests} == false ]] || steps=6
    if [[ -n ${python} || ! -x ${venv}/bin/python ]]; then
        find_python
    fi
    claim_venv
    follow_move
    # pip unpacks here, not in /tmp, which may be small; what a killed run left goes.
    rm -rf -- "${state}/tmp"
    mkdir -p -- "${state}/tmp"
    export TMPDIR=${state}/tmp

    target=${venv}/bin/python
    if ! venv_is_sound; then
        find_python
        step "1/${steps}" "an environment in ${venv}"
        need_space "${cpu_megabytes}" "cltm" "free some space and repeat the command."
        make_venv
        mark_complete venv "$(python_version "${target}") ${venv}"
    fi
    if ! packages_are_complete; then
        install_packages
        mark_complete complete "$(wanted_packages)"
    fi
    if ! tests_are_complete; then
        step "6/${steps}" "the tools of the tests"
        pip_install "the tools of the tests" --constraint "${tools}/requirements.txt" \
            --requirement "${tools}/requirements-test.txt"
        mark_complete tests "$(wanted_packages "${tools}/requirements-test.txt")"
    fi
    rm -rf -- "${state}/tmp"
    step "${steps}/${steps}" "done: ${venv}"
}

# ---------------------------------------------------------------- ESPnet's environment

add_to_espnet() {
    local version wanted missing marker
    # shellcheck source=tools/activate_espnet.sh
    . "${tools}/activate_espnet.sh" || exit 1
    target=$(command -v python3 || true)
    version=$(python_version "${target}")
    is_suitable "${version}" ||
        die "the environment of ESPNET_ROOT=${ESPNET_ROOT} has Python ${version:-none},\
 cltm needs 3.10 to 3.13: unset ESPNET_ROOT to use cltm's own environment."
    wanted="$(fingerprint "${root}/pyproject.toml") ${version} ${target} ${with_tests}"
    marker=espnet-$(printf '%s' "${ESPNET_ROOT}" | sha256sum | cut -c 1-16)-${with_tests}
    if is_complete "${marker}" "${wanted}"; then
        return
    fi
    claim_venv
    "${target}" -c 'import espnet2' 2>/dev/null ||
        die "${target}, which ESPNET_ROOT=${ESPNET_ROOT} activates, cannot import\
 espnet2: finish ESPnet's installation there, or unset ESPNET_ROOT to use cltm's own\
 environment."
    missing=$("${target}" "${tools}/missing_packages.py" --with_tests "${with_tests}") ||
        die "the environment of ESPNET_ROOT=${ESPNET_ROOT} cannot be used, see above."
    if [[ -n ${missing} ]]; then
        step 1/2 "adding to ESPnet's environment: ${missing//$'\n'/ }"
        "${target}" -m pip --version >/dev/null 2>&1 ||
            die "${target} has no pip: install these there, then repeat the command:\
 ${missing//$'\n'/ }"
        # Nothing that is there may change, torch and numpy least of all.
        "${target}" -m pip list --disable-pip-version-check --format freeze \
            2>/dev/null >"${state}/espnet-has.txt"
        printf '%s\n' "${missing}" >"${state}/espnet-lacks.txt"
        pip_install "what ESPnet's environment lacks" --requirement \
            "${state}/espnet-lacks.txt" --constraint "${state}/espnet-has.txt"
    fi
    step 2/2 "check: everything can be imported"
    "${target}" "${tools}/check_environment.py" >&2 ||
        die "the environment of ESPNET_ROOT=${ESPNET_ROOT} does not work for cltm, see\
 above: mend it there, or unset ESPNET_ROOT to use cltm's own environment."
    mark_complete "${marker}" "${wanted}"
}

# Settings of the caller that would lead pip or Python elsewhere.
unset PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
if [[ -n ${ESPNET_ROOT:-} ]]; then
    add_to_espnet
else
    unset PYTHONPATH
    install_own_environment
fi
