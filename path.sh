# shellcheck shell=bash
# Put the Python environment in place and in front. Sourced by run.sh and the recipes,
# from any directory. The first time this installs into .venv (tools/install.sh); with
# ESPNET_ROOT set, that ESPnet's environment is used instead. The command cltm of an
# installed package names its own Python, CLTM_PYTHON: nothing is installed then.

CLTM_ROOT=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
export CLTM_ROOT

# Settings of the caller that would change what the shell, Python or its packages do.
unset BASH_ENV CDPATH GREP_OPTIONS MPLBACKEND MATPLOTLIBRC
unset WORLD_SIZE RANK LOCAL_RANK MASTER_ADDR MASTER_PORT # of a launcher for one training
for _name in "${!PYTHON@}" "${!NUMBA_@}" "${!TQDM_@}"; do
    case ${_name} in
        PYTHON | PYTHONPATH | PYTHONDONTWRITEBYTECODE | NUMBA_CACHE_DIR) ;;
        *) unset "${_name}" ;;
    esac
done
unset _name

# shellcheck disable=SC2034 # python: run.sh calls it
if [[ -n ${CLTM_PYTHON:-} ]]; then
    python=${CLTM_PYTHON}
else
    "${CLTM_ROOT}/tools/install.sh" || return
    python=python3
    if [[ -n ${ESPNET_ROOT:-} ]]; then
        . "${CLTM_ROOT}/tools/activate_espnet.sh" || return 1
    else
        # Not bin/activate: it keeps the place where .venv was made, and changes the prompt.
        export VIRTUAL_ENV="${CLTM_ROOT}/${CLTM_VENV:-.venv}"
        export PATH="${VIRTUAL_ENV}/bin:${PATH}"
    fi
    export PYTHONPATH="${CLTM_ROOT}${PYTHONPATH:+:${PYTHONPATH}}"
fi

# Kaldi's order of lines is that of LC_ALL=C (sort, join, comm); Python then still
# reads and writes UTF-8, which PYTHONUTF8 makes independent of the locale.
export LC_ALL=C
export PYTHONUTF8=1
export PYTHONIOENCODING=UTF-8

# One thread a process: sums in the same order everywhere, and no oversubscription
# when several processes run at once.
export OMP_NUM_THREADS=1
export MKL_NUM_THREADS=1
export OPENBLAS_NUM_THREADS=1

# On a CPU, oneDNN prepares a kernel for every new input length and keeps 1024 of
# them, too few for a corpus: with more, a training step takes almost half the time.
export ONEDNN_PRIMITIVE_CACHE_CAPACITY=8192

export HF_HUB_DISABLE_TELEMETRY=1
export TOKENIZERS_PARALLELISM=false
