#!/usr/bin/env bash
# Pretrain a small HuBERT: masked prediction of k-means clusters, of MFCC first and of a
# layer of the first model then. From synthetic speech of 67 languages, or from a corpus
# of your own.
#   ./run.sh --stage 1 --stop_stage 8
set -euo pipefail

recipe=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
root=$(readlink -f -- "${recipe}/../../..")
cd -- "${recipe}"
. "${root}/db.sh"

stage=1
stop_stage=8
corpus=demo
corpus_dir=
langs=
demo_config=conf/corpus.yaml
model=conf/hubert_small.yaml
second_model=first
ssl_config=conf/train_ssl.yaml
second_max_lr=1.5e-3
first_clusters=100
second_clusters=100
second_layer=3
fit_frames=300000
min_seconds=1.5
steps_per_epoch=200
first_epochs=4
second_epochs=12
dtype=float16
probe_dump=
nj=
ngpu=0
train_processes=1
seed=0
datadir=data
dumpdir=dump
expdir=exp
tag=

options=(stage stop_stage corpus corpus_dir langs demo_config model second_model ssl_config
    second_max_lr first_clusters second_clusters second_layer fit_frames min_seconds
    steps_per_epoch first_epochs second_epochs dtype probe_dump nj ngpu train_processes
    seed datadir dumpdir expdir tag)
help_message=$(
    cat <<EOF
Usage: ./run.sh [--stage 1] [--stop_stage 8] [--option value ...]

Pretrains a HuBERT by masked prediction of k-means clusters. Without options it makes
a small multilingual one from synthetic speech.

Stages: 1 prepare each language   2 decode audio
        3 clusters of MFCC                         4 first training
        5 clusters of a layer of the first model      6 second training
        7 export                                      8 probe
Each may be run again alone; it does only what is missing.

Flow
  --stage ${stage}  --stop_stage ${stop_stage}  first and last stage
Data
  --corpus ${corpus}    demo (spoken by espeak-ng), common_voice or kaldi
  --corpus_dir    where it lies (default: DEMO, COMMON_VOICE or KALDI in db.sh)
  --langs "ca es" language codes (default: in stage 1 all of the corpus, of demo those of
                  --demo_config; in later stages all that are prepared)
  --demo_config ${demo_config}   languages, speakers and prompts of demo
Targets
  --first_clusters ${first_clusters}  --second_clusters ${second_clusters}  numbers of clusters
  --second_layer ${second_layer}   layer of the first model that is clustered, from 1
  --fit_frames ${fit_frames}   frames that k-means is fitted on
  --min_seconds ${min_seconds}   shortest utterance; crop_seconds of the configuration or more
Training
  --model ${model}   what the first training begins with: YAML file
                  for random weights; hub id or directory to go on with a checkpoint
  --second_model ${second_model}   what the second begins with: first, the first model's
                  weights, which saves time; or as --model
  --ssl_config ${ssl_config}   ESPnet training configuration
  --second_max_lr ${second_max_lr}   highest learning rate of the second training; empty: that of the
                  configuration
  --steps_per_epoch ${steps_per_epoch}   steps between checkpoints
  --first_epochs ${first_epochs}  --second_epochs ${second_epochs}  their numbers
  --seed ${seed}        of everything
Results
  --dtype ${dtype}   of the checkpoint
  --probe_dump    audio stores to probe on, <dumpdir>/<corpus> of another recipe that was run
                  with absolute --datadir and --dumpdir, separated
                  by spaces (default: this corpus's own)
  --tag           name of the experiment (default: ssl_<corpus>)
Resources
  --nj            processes, and threads of a training (default: number of cores)
  --train_processes ${train_processes}   processes that share these threads and each batch, on a CPU: 2
                  are faster where other programs run
  --ngpu ${ngpu}   GPUs, 0: CPU
Places
  --datadir ${datadir}  --dumpdir ${dumpdir}  --expdir ${expdir}
EOF
)
. "${root}/local/parse_options.sh"

log() { printf '%s (%s) %s\n' "$(date '+%Y-%m-%dT%H:%M:%S')" "${0##*/}" "$*"; }
fail() {
    printf '%s: error: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

for name in stage stop_stage ngpu seed; do
    [[ ${!name} =~ ^[0-9]+$ ]] || fail "--${name} takes a whole number, not '${!name}'."
done
for name in first_clusters second_clusters second_layer fit_frames steps_per_epoch \
    first_epochs second_epochs train_processes; do
    [[ ${!name} =~ ^[1-9][0-9]*$ ]] || fail "--${name} takes a whole number from 1 on, not '${!name}'."
done
case ${corpus} in
    demo) corpus_dir=${corpus_dir:-${DEMO}} ;;
    common_voice) corpus_dir=${corpus_dir:-${COMMON_VOICE}} ;;
    kaldi) corpus_dir=${corpus_dir:-${KALDI}} ;;
    *) fail "the corpus '${corpus}' is unknown: give --corpus demo, common_voice or kaldi." ;;
esac
[[ -r ${ssl_config} ]] || fail "--ssl_config ${ssl_config} cannot be read: correct the path."

. "${root}/path.sh"
nj=${nj:-$(env -u OMP_NUM_THREADS nproc)} # nproc takes that variable for the answer
[[ ${nj} =~ ^[1-9][0-9]*$ ]] || fail "--nj takes a whole number from 1 on, not '${nj}'."
exp=${expdir}/${tag:-ssl_${corpus}}
dump=${dumpdir}/${corpus}
start=${SECONDS}

if ((stage <= 2 && stop_stage >= 1)); then
    last=2
    ((stop_stage >= 2)) || last=1
    log "Stages 1 and 2: prepare the languages of ${corpus}, decode their audio"
    CLTM_RECIPE_DIR=${recipe} "${root}/run.sh" --stage "${stage}" --stop_stage "${last}" \
        --corpus "${corpus}" --corpus_dir "${corpus_dir}" --langs "${langs}" \
        --demo_config "${demo_config}" --require_gender false \
        --datadir "${datadir}" --dumpdir "${dumpdir}" --nj "${nj}"
fi

make_targets() { # <directory> <clusters> [option ...]
    local outdir=$1 clusters=$2
    shift 2
    python3 -m espnet2_cltm.bin.hubert_targets --dump "${dump}" --langs "${langs}" \
        --num_clusters "${clusters}" --fit_frames "${fit_frames}" \
        --min_seconds "${min_seconds}" --seed "${seed}" --nj "${nj}" \
        --outdir "${outdir}" "$@"
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
    trap 'kill -- "${pids[@]}" 2>/dev/null || true' EXIT
    trap 'exit 130' INT TERM
    for ((rank = 0; rank < processes; rank++)); do
        if ! wait -n; then
            failed=1
            kill -- "${pids[@]}" 2>/dev/null || true
        fi
    done
    trap - EXIT INT TERM
    return "${failed}"
}

# ESPnet goes on after the last epoch that was finished; finished.txt says that it was the
# last of all.
train() { # <directory> <targets> <clusters> <epochs> <model> <max_lr> [option ...]
    local outdir=$1 targets=$2 clusters=$3 epochs=$4 begin=$5 max_lr=$6 settings mode name
    shift 6
    settings="model ${begin}, ${clusters} clusters, ${epochs} epochs of ${steps_per_epoch}, seed ${seed}"
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
            "--${mode}_shape_file" "${targets}/${name}/utt2num_samples")
    done
    # The scheduler's steps are counted here, so that it ends with the training.
    local command=(python3 -m espnet2_cltm.bin.hubert_pretrain
        --config "${ssl_config}" --frontend_conf model="${begin}"
        --num_clusters "${clusters}" "${data[@]}"
        --batch_groups "${targets}/train/utt2lang"
        --num_iters_per_epoch "${steps_per_epoch}" --max_epoch "${epochs}"
        --scheduler_conf total_steps="$((steps_per_epoch * epochs))"
        ${max_lr:+--scheduler_conf max_lr="${max_lr}"}
        --ngpu "${ngpu}" --seed "${seed}" --resume true --output_dir "${outdir}" "$@")
    log "${outdir}: how far it is stands in ${outdir}/train.log"
    if ! run_training "${outdir}" "${command[@]}"; then
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
    python3 -m espnet2_cltm.bin.hubert_export --train_config "$1/config.yaml" \
        --model_file "$1/latest.pth" --outdir "$2" --dtype "$3"
}

write_card() {
    local commit
    commit=$(git -C "${root}" rev-parse HEAD 2>/dev/null || echo "not known")
    [[ -s ${exp}/commit.txt ]] || printf '%s\n' "${commit}" >"${exp}/commit.txt"
    python3 -m espnet2_cltm.bin.hubert_card --exp "${exp}" --template conf/model_card.md \
        --title "${exp##*/}" --commit "$(<"${exp}/commit.txt")"
}

if ((stage <= 3 && stop_stage >= 3)); then
    log "Stage 3: clusters of MFCC in ${exp}/first_targets"
    make_targets "${exp}/first_targets" "${first_clusters}" --features mfcc
fi

if ((stage <= 4 && stop_stage >= 4)); then
    log "Stage 4: first training in ${exp}/first"
    [[ -e ${exp}/first/settings.txt ]] ||
        git -C "${root}" rev-parse HEAD >"${exp}/commit.txt" 2>/dev/null || true
    train "${exp}/first" "${exp}/first_targets" "${first_clusters}" "${first_epochs}" \
        "${model}" ""
fi

if ((stage <= 5 && stop_stage >= 5)); then
    log "Stage 5: clusters of layer ${second_layer} of the first model in ${exp}/second_targets"
    export_model "${exp}/first" "${exp}/first/hf" float32
    make_targets "${exp}/second_targets" "${second_clusters}" --features layer \
        --model "${exp}/first/hf" --layer "${second_layer}"
fi

if ((stage <= 6 && stop_stage >= 6)); then
    log "Stage 6: second training in ${exp}/second"
    if [[ ${second_model} == first ]]; then
        second_model=${exp}/first/hf
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
        python3 "${root}/benchmarks/probe_features.py" --dump "${stores[@]}" \
            --model "${exp}/hf" --start "${model}" --outfile "${exp}/probe.tsv"
    fi
    write_card
fi

log "Successfully finished. [elapsed=$((SECONDS - start))s]"
