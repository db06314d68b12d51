# shellcheck shell=bash
# Sourced by the recipes: Ctrl-C, SIGTERM and a closed terminal end the steps at work,
# with all their processes, and then the recipe, at any instant and with one sentence.

# run COMMAND...: run one step, beside this shell, which would otherwise react to a
# signal only once the step is over. Ctrl-C reaches the step through this shell alone.
run() {
    "$@" <&0 &
    wait "$!"
}

# end_steps NUMBER: what the signal of that number leads to.
end_steps() {
    local process status said=false
    local -a steps
    mapfile -t steps < <(jobs -p)
    # A second signal reaches the steps, too, and ends them at once.
    trap 'kill -TERM "${steps[@]}" 2>/dev/null || true' HUP INT TERM
    kill -TERM "${steps[@]}" 2>/dev/null || true
    for process in "${steps[@]}"; do
        status=0
        wait "${process}" || status=$?
        while kill -0 "${process}" 2>/dev/null; do # a second signal ended the wait
            status=0
            wait "${process}" || status=$?
        done
        if ((status == 130)); then said=true; fi
    done
    [[ ${said} == true ]] || # by the step; not where it was just starting
        printf '%s: interrupted; what is finished is kept, and the same command continues from here.\n' \
            "${0##*/}" >&2
    exit "$((128 + $1))"
}

trap 'end_steps 1' HUP
trap 'end_steps 2' INT
trap 'end_steps 15' TERM
