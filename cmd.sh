# shellcheck shell=bash
# Where stage 4 executes its runs. Sourced by run.sh.
#
#   local   on this machine, --nj at a time
#   slurm   on a cluster, as slurm_config says
#
# Both may be set in the environment instead.
export cmd_backend=${cmd_backend:-local}
export slurm_config=${slurm_config:-conf/slurm.yaml}
