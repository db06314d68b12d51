# shellcheck shell=bash
# Where stage 4 executes its runs. Sourced by run.sh.
#
#   local   on this machine, --nj at a time
#
# A cluster will be chosen here as well; so far there is no other way.
export cmd_backend=local

case ${cmd_backend} in
    local) ;;
    *)
        echo "cmd.sh: error: cmd_backend=${cmd_backend} is not known;" \
            "set it to local in ${BASH_SOURCE[0]}." >&2
        return 1
        ;;
esac
