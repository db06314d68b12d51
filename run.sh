#!/usr/bin/env bash
# The recipe: from a corpus to a cross-lingual transfer matrix, in six stages.
#   ./run.sh --stage 1 --stop_stage 6
# The recipes in egs2/ call it with CLTM_RECIPE_DIR set to their own directory.
set -euo pipefail

root=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
cd -- "${CLTM_RECIPE_DIR:-${root}}"
. "${root}/db.sh"

stage=1
stop_stage=6
task=gender
corpus=demo
corpus_dir=
langs=
budget=
seeds="42 43 44 45 46 47 48 49 50 51"
model=
gender_config=conf/train_gender.yaml
demo_config=${root}/conf/demo.yaml
languages_conf=${root}/conf/languages.yaml
use_validated=false
require_gender=true
max_train_utts=0
max_test_utts=0
max_rejected=0.05
zero_shot=true
test_batch_bins=480000
metric=
ngpu=0
nj=
datadir=data
dumpdir=dump
expdir=exp
tag=
dry_run=false
rescore=false

options=(stage stop_stage task corpus corpus_dir langs budget seeds model gender_config
    demo_config languages_conf use_validated require_gender max_train_utts max_test_utts
    max_rejected zero_shot test_batch_bins metric ngpu nj datadir dumpdir expdir tag dry_run rescore)
help_message=$(
    cat <<EOF
Usage: ./run.sh [--stage 1] [--stop_stage 6] [--option value ...]

Measures how much speech of one language helps a task in another, and draws the
cross-lingual transfer matrix. Without options it builds the demo.

Stages: 1 prepare each language   2 decode audio   3 draw subsets, write the plan
        4 make every run          5 score          6 matrix, figures, summary
Each may be run again alone; it does only what is missing.

Flow
  --stage ${stage}  --stop_stage ${stop_stage}  first and last stage
  --dry_run ${dry_run}   true: stop in stage 3, with the cost of the experiment
  --task "${task}"    tasks, separated by spaces
Data
  --corpus ${corpus}    demo, common_voice or kaldi
  --corpus_dir    where it lies (default: DEMO, COMMON_VOICE or KALDI in db.sh)
  --langs "ca es" language codes (default: in stage 1 all of the corpus, of the demo those
                  of --demo_config; in later stages all that are prepared)
  --demo_config conf/demo.yaml   the demo's languages, speakers and prompts
  --use_validated ${use_validated}   Common Voice: enlarge train with validated.tsv
  --require_gender ${require_gender}   leave out utterances whose gender is not known
  --max_train_utts ${max_train_utts}  --max_test_utts ${max_test_utts}   most utterances of a language, 0: all
  --max_rejected ${max_rejected}   share of a language's recordings that may be unusable
Experiment
  --budget N      utterances (gender: per class) of a single run (demo: 6)
  --seeds "42 43" one run of each kind for every seed (default: 42 to 51)
  --model         HuBERT: hub id, directory, or YAML file of a small random one
                  (default: what the training configuration names)
  --gender_config ${gender_config}   ESPnet training configuration
  --zero_shot ${zero_shot}    test single runs on every language
  --test_batch_bins ${test_batch_bins}   most samples in a test batch (memory, last bits)
  --metric        of the matrix (default: the task's; gender: macro_f1)
  --tag           name of the experiment (default: <corpus>_<task>_n<budget>)
  --rescore ${rescore}  score the predictions again in stage 5
Resources
  --nj            processes (default: number of cores, or of GPUs)   --ngpu ${ngpu}   GPUs, 0: CPU
Places
  --datadir ${datadir}  --dumpdir ${dumpdir}  --expdir ${expdir}
  --languages_conf conf/languages.yaml   names and families of languages
EOF
)
. "${root}/local/parse_options.sh"

log() { printf '%s (%s) %s\n' "$(date '+%Y-%m-%dT%H:%M:%S')" "${0##*/}" "$*"; }
fail() {
    printf '%s: error: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

for name in stage stop_stage ngpu; do
    [[ ${!name} =~ ^[0-9]+$ ]] || fail "--${name} takes a whole number, not '${!name}'."
done
case ${corpus} in
    demo) corpus_dir=${corpus_dir:-${DEMO}} ;;
    common_voice) corpus_dir=${corpus_dir:-${COMMON_VOICE}} ;;
    kaldi) corpus_dir=${corpus_dir:-${KALDI}} ;;
    *) fail "the corpus '${corpus}' is unknown: give --corpus demo, common_voice or kaldi." ;;
esac
if [[ -z ${budget} ]]; then
    [[ ${corpus} == demo ]] || ((stop_stage < 3)) ||
        fail "--budget is missing: give the number of utterances of a single run."
    budget=6
fi
[[ ${budget} =~ ^(|[1-9][0-9]*)$ ]] ||
    fail "--budget takes a whole number from 1 on, not '${budget}'."
for seed in ${seeds}; do
    [[ ${seed} =~ ^[0-9]+$ ]] || fail "--seeds holds '${seed}': give whole numbers, such as '42 43'."
done
for name in ${task}; do
    [[ ${name} == gender ]] || fail "the task '${name}' is unknown: give --task gender."
done
[[ -n ${task} ]] || fail "--task is empty: give --task gender."
[[ -r ${gender_config} ]] || ((stop_stage < 3)) ||
    fail "--gender_config ${gender_config} cannot be read: correct the path."
tag=${tag:-${corpus}_${task// /_}_n${budget}}
exp=${expdir}/${tag}

. "${root}/path.sh"
. "${root}/cmd.sh"
if [[ -z ${nj} ]]; then
    nj=$(env -u OMP_NUM_THREADS nproc) # nproc takes that variable for the answer
    ((ngpu == 0)) || nj=${ngpu}        # one process a GPU
fi
[[ ${nj} =~ ^[1-9][0-9]*$ ]] || fail "--nj takes a whole number from 1 on, not '${nj}'."
local_dir=${root}/local
start=${SECONDS}

if ((stage <= 1 && stop_stage >= 1)); then
    log "Stage 1: prepare the languages of ${corpus} in ${datadir}/${corpus}"
    "${local_dir}/prepare_data.py" --corpus "${corpus}" --corpus_dir "${corpus_dir}" \
        --langs "${langs}" --datadir "${datadir}" --nj "${nj}" \
        --demo_config "${demo_config}" --use_validated "${use_validated}" \
        --require_gender "${require_gender}" \
        --max_train_utts "${max_train_utts}" --max_test_utts "${max_test_utts}"
fi

if ((stage <= 2 && stop_stage >= 2)); then
    log "Stage 2: decode audio into ${dumpdir}/${corpus}"
    "${local_dir}/dump_audio.py" --corpus "${corpus}" --langs "${langs}" \
        --datadir "${datadir}" --dumpdir "${dumpdir}" --nj "${nj}" \
        --max_rejected "${max_rejected}"
fi

if ((stage <= 3 && stop_stage >= 3)); then
    log "Stage 3: draw subsets and write the plan of ${exp}"
    "${local_dir}/make_plan.py" --exp "${exp}" --task "${task}" --corpus "${corpus}" \
        --dumpdir "${dumpdir}" --langs "${langs}" --budget "${budget}" \
        --seeds "${seeds}" --model "${model}" --gender_config "${gender_config}" \
        --zero_shot "${zero_shot}" --test_batch_bins "${test_batch_bins}" \
        --nj "${nj}" --ngpu "${ngpu}" --dry_run "${dry_run}"
fi

if [[ ${dry_run} == true ]] && ((stop_stage > 3)); then
    log "Stages 4 to 6 are left out, because of --dry_run true"
    stop_stage=3
fi

if ((stage <= 4 && stop_stage >= 4)); then
    log "Stage 4: make the runs of ${exp}/plan.tsv (${cmd_backend:?}, ${nj} at a time)"
    "${local_dir}/run_plan.py" --exp "${exp}" --nj "${nj}" --ngpu "${ngpu}"
fi

if ((stage <= 5 && stop_stage >= 5)); then
    log "Stage 5: score the runs of ${exp}"
    "${local_dir}/score.py" --exp "${exp}" --rescore "${rescore}"
fi

if ((stage <= 6 && stop_stage >= 6)); then
    log "Stage 6: build the matrix in ${exp}/cltm"
    "${local_dir}/build_matrix.py" --results "${exp}/results.tsv" \
        --outdir "${exp}/cltm" --languages_conf "${languages_conf}" \
        ${metric:+--metric "${metric}"}
    log "The matrix: ${exp}/cltm/heatmap.png"
fi

log "Successfully finished. [elapsed=$((SECONDS - start))s]"
