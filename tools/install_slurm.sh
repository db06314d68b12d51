#!/usr/bin/env bash
# Install Debian's Slurm for the tests of the executor slurm, where that is possible: they
# start its daemons themselves, on this machine alone. Prints where slurmctld is; nothing,
# and the reason on standard error, where there is none.
set -euo pipefail

# Daemons lie in sbin, which is not in everybody's path.
PATH=${PATH}:/usr/local/sbin:/usr/sbin:/sbin
has_slurm() {
    local name
    for name in munged slurmctld slurmd sbatch squeue scancel scontrol srun sinfo; do
        command -v "${name}" >/dev/null || return 1
    done
}
if has_slurm; then
    command -v slurmctld
    exit 0
fi

if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "tools/install_slurm.sh: no Slurm was found: the tests on a real one are left out" \
        "(on Debian and Ubuntu: sudo apt-get install slurm-wlm munge)." >&2
    exit 0
fi

log=$(mktemp)
trap 'rm -f -- "${log}"' EXIT
echo "[slurm] installing Slurm, for the tests of the executor slurm" >&2
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install --yes --no-install-recommends slurm-wlm munge; }
if ! { install || { apt-get update && install; }; } >"${log}" 2>&1 || ! has_slurm; then
    tail -n 5 -- "${log}" >&2
    echo "tools/install_slurm.sh: Slurm could not be installed, see above: the tests on a real" \
        "one are left out." >&2
    exit 0
fi
command -v slurmctld
