# shellcheck shell=bash
# Sourced by the recipes: Ctrl-C, SIGTERM and a closed terminal end the step at work,
# with all its processes, and then the recipe, at any instant and with one sentence.

step_processes=()

# run COMMAND...: run one step, beside this shell, which would otherwise react to a
# signal only once the step is over. Ctrl-C reaches the step through this shell alone.
run() {
    local status=0
    "$@" <&0 &
    step_processes=("$!")
    wait "$!" || status=$?
    step_processes=()
    return "${status}"
}

# end_steps NUMBER: what the signal of that number leads to.
end_steps() {
    local process ended=false
    # A second signal reaches the step, too, and ends it at once.
    trap 'kill -TERM "${step_processes[@]}" 2>/dev/null || true' HUP INT TERM
    for process in ${step_processes[@]+"${step_processes[@]}"}; do
        if kill -TERM "${process}" 2>/dev/null; then ended=true; fi
    done
    for process in ${step_processes[@]+"${step_processes[@]}"}; do
        while kill -0 "${process}" 2>/dev/null; do
            wait "${process}" || true
        done
    done
    [[ ${ended} == true ]] || # otherwise the step has said it
        printf '%s: interrupted; what is finished is kept, and the same command continues from here.\n' \
            "${0##*/}" >&2
    exit "$((128 + $1))"
}

trap 'end_steps 1' HUP
trap 'end_steps 2' INT
trap 'end_steps 15' TERM
