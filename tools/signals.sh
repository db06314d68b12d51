# shellcheck shell=bash
# Sourced by the recipes: Ctrl-C, SIGTERM and a closed terminal end the steps at work,
# with all their processes, and then the recipe, at any instant and with one sentence.

# The first recipe says it, and neither its steps nor a recipe that it calls.
_told_by=${CLTM_INTERRUPT_TOLD_BY:-}
export CLTM_INTERRUPT_TOLD_BY=${_told_by:-${0##*/}}

# run COMMAND...: run one step, beside this shell, which would otherwise react to a
# signal only once the step is over. Ctrl-C reaches the step through this shell alone.
run() {
    "$@" <&0 &
    wait "$!"
}

# end_steps NUMBER: what the signal of that number leads to.
end_steps() {
    local step
    local -a steps
    mapfile -t steps < <(jobs -p)
    # A second signal reaches the steps, too, and ends them at once.
    trap 'kill -TERM "${steps[@]}" 2>/dev/null || true' HUP INT TERM
    kill -TERM "${steps[@]}" 2>/dev/null || true
    for step in "${steps[@]}"; do
        while kill -0 "${step}" 2>/dev/null; do
            wait "${step}" || true # which a second signal ends
        done
    done
    [[ -n ${_told_by} ]] ||
        printf '%s: interrupted; what is finished is kept, and the same command continues from here.\n' \
            "${0##*/}" >&2
    exit "$((128 + $1))"
}

trap 'end_steps 1' HUP
trap 'end_steps 2' INT
trap 'end_steps 15' TERM
