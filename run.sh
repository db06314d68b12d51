#!/usr/bin/env bash
# The recipe: from a corpus to a cross-lingual transfer matrix, in six stages; with
# --regime_budgets to learning curves, which tell how large N must be.
#   ./run.sh --stage 1 --stop_stage 6
# --help lists the options; they are declared in Python
# (espnet2_cltm/experiment/recipe_options.py), and checked and completed there (recipe.py),
# each stage's in an array of its own. The recipes in egs2/ call this script with
# CLTM_RECIPE_DIR set to their own directory; in an installed package `cltm run` does.
# shellcheck disable=SC2154 # the variables come from espnet2_cltm.bin.recipe
set -euo pipefail

root=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
. "${root}/tools/recipe.sh"

options=$(trap '' INT && exec "${python}" -m espnet2_cltm.bin.recipe "$@") || exit
eval "${options}"

if ((stage <= 1 && stop_stage >= 1)); then
    log "Stage 1: prepare the languages of ${corpus} in ${datadir}/${corpus}"
    run "${python}" "${root}/local/prepare_data.py" "${stage1[@]}"
fi

if ((stage <= 2 && stop_stage >= 2)); then
    log "Stage 2: decode audio into ${dumpdir}/${corpus}"
    run "${python}" "${root}/local/dump_audio.py" "${stage2[@]}"
fi

# Stages 3 to 5, again for each round of an adaptive design.
planned=""
while true; do
    if ((stage <= 3 && stop_stage >= 3)); then
        log "Stage 3: draw subsets and write the plan of ${exp}"
        run "${python}" "${root}/local/make_plan.py" "${stage3[@]}"
        # An adaptive design is complete when stage 3 adds nothing.
        if [[ ${design} == adaptive && ${dry_run} == false ]]; then
            sum=$(cksum <"${exp}/plan.tsv")
            [[ ${sum} != "${planned}" ]] || break
            planned=${sum}
        fi
        [[ ${dry_run} == false ]] || log "Stages 4 to 6 are left out, because of --dry_run true"
    fi

    if ((stage <= 4 && stop_stage >= 4)); then
        how="${nj} at a time"
        [[ ${executor} == local ]] || how=${slurm_config}
        log "Stage 4: make the runs of ${exp}/plan.tsv (${executor}, ${how}; how far: ${exp}/progress.json)"
        run "${python}" "${root}/local/run_plan.py" "${stage4[@]}"
    fi

    if ((stage <= 5 && stop_stage >= 5)); then
        log "Stage 5: score the runs of ${exp}"
        run "${python}" "${root}/local/score.py" "${stage5[@]}"
    fi
    if [[ ${design} == full ]] || ((stage > 3 || stop_stage < 5)); then
        break
    fi
done

if ((stage <= 6 && stop_stage >= 6)); then
    for name in ${tasks}; do
        declare -n stage6="stage6_${name}"
        out=${exp}/${matrix_or_regime}/${name}
        if [[ ${matrix_or_regime} == regime ]]; then
            log "Stage 6: learning curves and dynamic regime of ${name} in ${out}"
            run "${python}" "${root}/local/find_regime.py" "${stage6[@]}"
            log "The regime of ${name}: ${out}/regime.png"
        else
            log "Stage 6: build the matrix of ${name} in ${out}"
            run "${python}" "${root}/local/build_matrix.py" "${stage6[@]}"
            log "The report of ${name}: ${out}/report.html"
        fi
    done
fi

finished
