#!/usr/bin/env bash
# Pretrain a small HuBERT: masked prediction of k-means clusters, of MFCC first and of a
# layer of the first model then. From synthetic speech of 67 languages, or from a corpus
# of your own.
#   ./run.sh --stage 1 --stop_stage 8
# shellcheck disable=SC2154 # the variables come from espnet2_cltm.bin.recipe
set -euo pipefail

CLTM_RECIPE_DIR=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
export CLTM_RECIPE_DIR # the recipes that this one calls work here, too
root=$(readlink -f -- "${CLTM_RECIPE_DIR}/../../..")
. "${root}/tools/recipe.sh"

# The options are declared, checked and completed in espnet2_cltm/pretraining/options.py.
options=$(trap '' INT && exec python3 -m espnet2_cltm.bin.recipe --ssl "$@") || exit
eval "${options}"

[[ -r ${ssl_config} ]] || fail "--ssl_config ${ssl_config} cannot be read: correct the path."
exp=${expdir}/${tag}
first=${first_model:-${exp}/first/hf}
dump=${dumpdir}/${corpus}

if ((stage <= 2 && stop_stage >= 1)); then
    last=2
    ((stop_stage >= 2)) || last=1
    log "Stages 1 and 2: prepare the languages of ${corpus}, decode their audio"
    run "${root}/run.sh" --stage "${stage}" --stop_stage "${last}" \
        --corpus "${corpus}" --corpus_dir "${corpus_dir}" --langs "${langs}" \
        --demo_config "${demo_config}" --require_labels "" \
        --datadir "${datadir}" --dumpdir "${dumpdir}" --nj "${nj}"
fi

make_targets() { # <directory> <clusters> [option ...]
    local outdir=$1 clusters=$2 segments=false
    shift 2
    [[ ${feature_weight} == 0 ]] || segments=true
    run python3 -m espnet2_cltm.bin.hubert_targets --dump "${dump}" --langs "${langs}" \
        --num_clusters "${clusters}" --fit_frames "${fit_frames}" \
        --min_seconds "${min_seconds}" --hours "${hours}" --seed "${seed}" --nj "${nj}" \
        --grounding_share "${grounding_share}" --segments "${segments}" --outdir "${outdir}" "$@"
}

# On a CPU, --train_processes share each batch (ESPnet's distributed training): threads wait
# for each other in every operation, processes once a step, which counts where other
# programs run. The first one writes train.log; where one ends, all do.
run_training() { # <directory> <command ...>
    local outdir=$1 processes=${train_processes} threads port rank failed=0
    shift
    local distributed=()
    if ((ngpu > 0)); then processes=1; fi
    threads=$(((nj + processes - 1) / processes))
    if ((processes > 1)); then
        port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
        distributed=(--dist_backend gloo --dist_world_size "${processes}"
            --dist_master_addr 127.0.0.1 --dist_master_port "${port}")
    fi
    local pids=()
    for ((rank = 0; rank < processes; rank++)); do
        local log_file=${outdir}/train.log
        ((rank == 0)) || log_file=${outdir}/train.${rank}.log
        ((processes == 1)) || distributed+=(--dist_rank "${rank}")
        OMP_NUM_THREADS=${threads} MKL_NUM_THREADS=${threads} "$@" "${distributed[@]}" \
            >>"${log_file}" 2>&1 &
        pids+=("$!")
    done
    for ((rank = 0; rank < processes; rank++)); do
        if ! wait -n; then
            failed=1
            kill -- "${pids[@]}" 2>/dev/null || true
        fi
    done
    return "${failed}"
}

# ESPnet goes on after the last epoch that was finished; finished.txt says that it was the
# last of all.
train() { # <directory> <targets> <clusters> <epochs> <model> <max_lr> [option ...]
    local outdir=$1 targets=$2 clusters=$3 epochs=$4 begin=$5 max_lr=$6 settings mode name
    shift 6
    settings="model ${begin}, ${clusters} clusters, ${epochs} epochs of ${steps_per_epoch}, seed ${seed}"
    local grounding=() lengths=utt2num_samples
    if [[ ${grounding_weight} != 0 ]]; then
        settings+=", grounding_weight ${grounding_weight}"
        # A batch of captions leaves the parts for speakers unused, and one of speech the pictures'.
        grounding=(--model_conf grounding_weight="${grounding_weight}" --pictures "${exp}/pictures"
            --unused_parameters true)
        lengths=utt2num_samples.captions
    fi
    local features=()
    if [[ ${feature_weight} != 0 ]]; then
        settings+=", feature_weight ${feature_weight}"
        features=(--model_conf feature_weight="${feature_weight}")
    fi
    if [[ -e ${outdir}/settings.txt && $(<"${outdir}/settings.txt") != "${settings}" ]]; then
        fail "${outdir} holds a training of another setting ($(<"${outdir}/settings.txt")): give another --tag, or delete it."
    fi
    if [[ -e ${outdir}/finished.txt ]]; then
        log "${outdir}: trained before, skipped"
        return
    fi
    mkdir -p -- "${outdir}"
    printf '%s\n' "${settings}" >"${outdir}/settings.txt.tmp"
    mv -- "${outdir}/settings.txt.tmp" "${outdir}/settings.txt"
    local data=()
    for mode in train valid; do
        name=${mode/valid/dev}
        data+=("--${mode}_data_path_and_name_and_type" "${targets}/${name}/wav.scp,speech,kaldi_ark"
            "--${mode}_data_path_and_name_and_type" "${targets}/${name}/target.scp,target,kaldi_ark"
            "--${mode}_data_path_and_name_and_type" "${targets}/${name}/other_wav.scp,other_speech,kaldi_ark"
            "--${mode}_data_path_and_name_and_type" "${targets}/${name}/other_target.scp,other_target,kaldi_ark"
            "--${mode}_data_path_and_name_and_type" "${targets}/${name}/utt2spk,speaker,text_int"
            "--${mode}_shape_file" "${targets}/${name}/${lengths}")
        [[ ${feature_weight} == 0 ]] ||
            data+=("--${mode}_data_path_and_name_and_type" "${targets}/${name}/segment.scp,segment,kaldi_ark"
                "--${mode}_data_path_and_name_and_type" "${targets}/${name}/other_segment.scp,other_segment,kaldi_ark")
    done
    # The scheduler's steps are counted here, so that it ends with the training.
    local training=(python3 -m espnet2_cltm.bin.hubert_pretrain
        --config "${ssl_config}" --frontend_conf model="${begin}"
        --num_clusters "${clusters}" "${data[@]}"
        --batch_groups "${targets}/train/utt2lang"
        --num_iters_per_epoch "${steps_per_epoch}" --max_epoch "${epochs}"
        --scheduler_conf total_steps="$((steps_per_epoch * epochs))"
        ${max_lr:+--scheduler_conf max_lr="${max_lr}"} "${grounding[@]}" "${features[@]}"
        --ngpu "${ngpu}" --seed "${seed}" --resume true --output_dir "${outdir}" "$@")
    log "${outdir}: how far it is stands in ${outdir}/train.log"
    if ! run_training "${outdir}" "${training[@]}"; then
        tail -n 20 -- "${outdir}/train.log" >&2
        fail "the training in ${outdir} did not finish: see the end of its train.log above, then run the same command again, which goes on after the last whole epoch."
    fi
    grep 'epoch results' "${outdir}/train.log" | tail -n 1 | sed 's/.*\[valid\]/valid:/'
    echo "${epochs} epochs" >"${outdir}/finished.txt"
}

export_model() { # <training> <directory> <dtype>
    if [[ -e $2/model.safetensors ]]; then
        log "$2: exported before, skipped"
        return
    fi
    run python3 -m espnet2_cltm.bin.hubert_export --train_config "$1/config.yaml" \
        --model_file "$1/latest.pth" --outdir "$2" --dtype "$3"
}

# What made the model: the first call that trained, whatever later ones evaluate.
note_origin() {
    [[ ! -e ${exp}/command.txt ]] || return 0
    mkdir -p -- "${exp}"
    [[ -s ${exp}/commit.txt ]] || git -C "${root}" rev-parse HEAD >"${exp}/commit.txt" 2>/dev/null ||
        echo "not known" >"${exp}/commit.txt"
    printf '%s\n' "${command}" >"${exp}/command.txt.tmp"
    mv -- "${exp}/command.txt.tmp" "${exp}/command.txt"
}

write_card() {
    note_origin
    run python3 -m espnet2_cltm.bin.hubert_card --exp "${exp}" --template conf/model_card.md
}

if ((stage <= 3 && stop_stage >= 3)); then
    # First, because a picture that is missing ends it: targets take long.
    if [[ ${grounding_weight} != 0 ]]; then
        run python3 -m espnet2_cltm.bin.hubert_pictures --dump "${dump}" --langs "${langs}" \
            --image_size "${image_size}" --grounding_share "${grounding_share}" \
            --seed "${seed}" --nj "${nj}" --outdir "${exp}/pictures"
    fi
    if [[ -n ${first_model} ]]; then
        log "Stage 3: no clusters of MFCC, because --first_model ${first_model} is trained"
    else
        log "Stage 3: clusters of MFCC in ${exp}/first_targets"
        make_targets "${exp}/first_targets" "${first_clusters}" --features mfcc
    fi
fi

if ((stage <= 4 && stop_stage >= 4)) && [[ -z ${first_model} ]]; then
    log "Stage 4: first training in ${exp}/first"
    note_origin
    train "${exp}/first" "${exp}/first_targets" "${first_clusters}" "${first_epochs}" \
        "${model}" ""
    export_model "${exp}/first" "${exp}/first/hf" float32
fi

if ((stage <= 5 && stop_stage >= 5)); then
    log "Stage 5: clusters of layer ${second_layer} of ${first} in ${exp}/second_targets"
    make_targets "${exp}/second_targets" "${second_clusters}" --features layer \
        --model "${first}" --layer "${second_layer}"
fi

if ((stage <= 6 && stop_stage >= 6)); then
    log "Stage 6: second training in ${exp}/second"
    note_origin
    if [[ ${second_model} == first ]]; then
        second_model=${first}
    fi
    train "${exp}/second" "${exp}/second_targets" "${second_clusters}" "${second_epochs}" \
        "${second_model}" "${second_max_lr}"
fi

if ((stage <= 7 && stop_stage >= 7)); then
    log "Stage 7: export to ${exp}/hf"
    export_model "${exp}/second" "${exp}/hf" "${dtype}"
    write_card
fi

if ((stage <= 8 && stop_stage >= 8)); then
    log "Stage 8: probe the features"
    read -r -a stores <<<"${probe_dump:-${dump}}"
    if [[ -e ${exp}/probe.tsv ]]; then
        log "${exp}/probe.tsv: probed before, skipped"
    else
        run python3 "${root}/benchmarks/probe_features.py" --dump "${stores[@]}" \
            --model "${exp}/hf" --start "${first_model:-${model}}" --outfile "${exp}/probe.tsv"
    fi
    if [[ -n ${abx_dump} ]]; then
        run python3 "${root}/local/abx.py" --dump "${abx_dump}" --model "${exp}/hf" \
            --baselines "log-mel log-mel-cmvn" --ngpu "$((ngpu > 0 ? 1 : 0))" --outdir "${exp}/abx"
    fi
    write_card
fi

finished
