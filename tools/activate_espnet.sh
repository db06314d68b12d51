# shellcheck shell=bash
# Activate the environment of the ESPnet in ${ESPNET_ROOT}, as ESPnet's recipes do.
# Sourced by path.sh and tools/install.sh.

if [[ ! -d ${ESPNET_ROOT} ]]; then
    echo "error: ESPNET_ROOT=${ESPNET_ROOT} is not a directory: set it to an ESPnet" \
        "checkout, or unset it to use cltm's own environment." >&2
    return 1
fi
if [[ ! -f ${ESPNET_ROOT}/tools/activate_python.sh ]]; then
    echo "error: ESPNET_ROOT=${ESPNET_ROOT} has no tools/activate_python.sh: finish" \
        "ESPnet's installation there, or unset ESPNET_ROOT to use cltm's own" \
        "environment." >&2
    return 1
fi
# Such scripts (conda's among them) read unset variables and ignore failures.
_shell_flags=$-
set +eu
# shellcheck disable=SC1091
. "${ESPNET_ROOT}/tools/activate_python.sh"
[[ ${_shell_flags} == *u* ]] && set -u
[[ ${_shell_flags} == *e* ]] && set -e
unset _shell_flags
