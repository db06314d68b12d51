#!/usr/bin/env bash
# How much worse a multilingual encoder is at each of its languages than a monolingual
# one, in ABX phone discrimination: HuBERTs of equal steps and hours, several seeds.
#   ./run.sh --stage 1 --stop_stage 5
# shellcheck disable=SC2154 # the variables come from espnet2_cltm.bin.recipe
set -euo pipefail

CLTM_RECIPE_DIR=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
export CLTM_RECIPE_DIR # the recipes that this one calls work here, too
root=$(readlink -f -- "${CLTM_RECIPE_DIR}/../../..")
. "${root}/tools/recipe.sh"

# The options are declared, checked and completed in espnet2_cltm/gap/options.py.
options=$(trap '' INT && exec python3 -m espnet2_cltm.bin.recipe --gap "$@") || exit
eval "${options}"

exp=${expdir}/${tag}
dump=${dumpdir}/${corpus}
at_work=0

# Wait until one of the steps at work is over; where one fails, all end.
one_over() {
    if ! wait -n; then
        mapfile -t steps < <(jobs -p)
        kill -- "${steps[@]}" 2>/dev/null || true
        wait
        fail "a step did not finish: see above, then run the same command again, which does only what is missing."
    fi
    ((at_work -= 1)) || true
}

# start COMMAND...: run a step beside others, --nj at a time.
start() {
    ((at_work < nj)) || one_over
    "$@" <&0 &
    ((at_work += 1))
}
finish() { while ((at_work > 0)); do one_over; done; }

pretrain() { # <first stage> <last stage>: of the pretraining recipe, for each encoder
    local name
    local -a words
    for name in "${encoders[@]}"; do
        eval "words=(${ssl_options[${name}]})"
        start "${root}/egs2/cltm/ssl1/run.sh" --stage "$1" --stop_stage "$2" "${words[@]}"
    done
    finish
}

measure() { # <directory> [option ...]: ABX on all languages
    local split
    for split in dev test; do
        start python3 "${root}/local/abx.py" --dump "${dump}" --langs "${langs}" \
            --splits "${split}" --draws 0 --ngpu "$((ngpu > 0 ? 1 : 0))" \
            --outdir "$1/abx_${split}" "${@:2}"
    done
}

if ((stage <= 1 && stop_stage >= 1)); then
    log "Stage 1: speech of ${langs} in ${dump}"
    run "${root}/run.sh" --stop_stage 2 --corpus "${corpus}" \
        --corpus_dir "${corpus_dir}" --langs "${langs}" --demo_config "${demo_config}" \
        --require_labels "" --datadir "${datadir}" --dumpdir "${dumpdir}" --nj "${nj}"
fi

if ((stage <= 2 && stop_stage >= 2)); then
    log "Stage 2: clusters for ${#encoders[@]} encoders in ${exp}"
    pretrain 3 3
fi

if ((stage <= 3 && stop_stage >= 3)); then
    log "Stage 3: pretrain ${#encoders[@]} encoders in ${exp}"
    pretrain 4 4
fi

if ((stage <= 4 && stop_stage >= 4)); then
    log "Stage 4: ABX of ${#encoders[@]} encoders on ${langs}"
    measure "${exp}/baselines" --baselines "log-mel log-mel-cmvn"
    for name in "${encoders[@]}"; do
        measure "${exp}/${name}" --model "${exp}/${name}/first/hf"
    done
    finish
fi

if ((stage <= 5 && stop_stage >= 5)); then
    log "Stage 5: the gap"
    run python3 -m espnet2_cltm.bin.multilingual_gap --exp "${exp}" --langs "${langs}" \
        --hours "${hours}" --seeds "${seeds}" --references "${references}" \
        --grounding_weights "${grounding_weights}" --grounding_shares "${grounding_shares}" \
        --feature_weights "${feature_weights}"
fi

finished
