#!/usr/bin/env bash
# The recipe: from a corpus to a cross-lingual transfer matrix, in six stages; with
# --regime_budgets to learning curves, which tell how large N must be.
#   ./run.sh --stage 1 --stop_stage 6
# The recipes in egs2/ call it with CLTM_RECIPE_DIR set to their own directory.
set -euo pipefail

root=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
cd -- "${CLTM_RECIPE_DIR:-${root}}"
. "${root}/db.sh"

stage=1
stop_stage=6
task="gender speaker"
corpus=demo
corpus_dir=
langs=
budget=
gender_budget=
speaker_budget=
seeds="42 43 44 45 46 47 48 49 50 51"
model=
freeze=
gender_config=conf/train_gender.yaml
speaker_config=conf/train_speaker.yaml
demo_config=${root}/conf/demo.yaml
languages_conf=${root}/conf/languages.yaml
distances=
use_validated=false
require_gender=true
max_train_utts=0
max_test_utts=0
max_rejected=0.05
zero_shot=true
pairs_fraction=1
pairs_seed=0
regime_budgets=
shared_speakers=
utts_per_speaker=1
max_positives=200
trials_seed=0
cross_language_trials=false
test_batch_bins=480000
gender_metric=
speaker_metric=
audio_cache=500
ngpu=0
jobs_per_gpu=1
nj=
retry=failed
keep_models=none
datadir=data
dumpdir=dump
expdir=exp
tag=
dry_run=false
rescore=false

options=(stage stop_stage task corpus corpus_dir langs budget gender_budget speaker_budget
    seeds model freeze gender_config speaker_config demo_config languages_conf
    distances use_validated
    require_gender max_train_utts max_test_utts max_rejected zero_shot pairs_fraction
    pairs_seed regime_budgets shared_speakers
    utts_per_speaker max_positives trials_seed cross_language_trials test_batch_bins
    gender_metric speaker_metric audio_cache ngpu jobs_per_gpu nj retry keep_models
    datadir dumpdir expdir tag dry_run rescore)
help_message=$(
    cat <<EOF
Usage: ./run.sh [--stage 1] [--stop_stage 6] [--option value ...]

Measures how much speech of one language helps a task in another, and draws the
cross-lingual transfer matrix of each task. Without options it builds the demo.

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
  --budget N      utterances (gender: per class) of a single run
  --gender_budget N  --speaker_budget N   another N for one task (demo: 3 and 32)
  --seeds "42 43" one run of each kind for every seed (default: 42 to 51)
  --model         HuBERT: hub id, directory, or YAML file of a small random one
                  (default: what the training configuration names)
  --freeze        what of it is not trained but computed once for each utterance: none,
                  cnn, all or the number of lowest transformer layers (default: what the
                  training configuration says)
  --gender_config ${gender_config}  --speaker_config ${speaker_config}
                  ESPnet training configurations
  --zero_shot ${zero_shot}    test single runs on every language
  --pairs_fraction ${pairs_fraction}  share of the pairs of languages that is measured, every
                  language in nearly as many   --pairs_seed ${pairs_seed}  draws which
  --regime_budgets "4 8 16 32"   find out how large N must be, in place of a matrix: a
                  single run of every language at every N, its test on that language;
                  --budget is not used, an N needs its double in the list
  --shared_speakers   whether a speaker's name, but for <lang>-, is one person in all
                  languages; nobody tested is trained on then (common_voice: true)
  --utts_per_speaker ${utts_per_speaker}   speaker: utterances a speaker gives before the next one's turn
  --max_positives ${max_positives}   speaker: most target trials of a speaker
  --trials_seed ${trials_seed}   speaker: draws the trials
  --cross_language_trials ${cross_language_trials}   speaker: test bilingual speakers across languages
  --test_batch_bins ${test_batch_bins}   most samples in a test batch (memory, last bits)
  --gender_metric   of its matrix: macro_f1 (default), accuracy, recall_f, recall_m
  --speaker_metric  roc_auc (default), eer, min_dcf_p0.01, min_dcf_p0.05
  --tag           name of the experiment (default: <corpus>_<task>_n<N>, for each task;
                  with --regime_budgets <corpus>_<task>_regime)
  --rescore ${rescore}  score the predictions again in stage 5
Resources
  --nj            processes (default: number of cores, or ngpu * jobs_per_gpu)
  --ngpu ${ngpu}   GPUs, 0: CPU   --jobs_per_gpu ${jobs_per_gpu}   runs made at once on each GPU
  --retry ${retry}   stage 4: failed: make runs again that failed before; none: leave them
  --keep_models ${keep_models}   runs whose trained model is kept: none, single or all; a language
                  that is added later is only tested on models of single runs
  --audio_cache ${audio_cache}   MB of prepared test audio that a process keeps in memory, and as
                  many of what is frozen of the encoder
Places
  --datadir ${datadir}  --dumpdir ${dumpdir}  --expdir ${expdir}
  --languages_conf conf/languages.yaml   names and families of languages
  --distances     table with distances between languages that are not known here
EOF
)
declare -A default=()
for name in "${options[@]}"; do default[${name}]=${!name}; done
. "${root}/local/parse_options.sh"

log() { printf '%s (%s) %s\n' "$(date '+%Y-%m-%dT%H:%M:%S')" "${0##*/}" "$*"; }
fail() {
    printf '%s: error: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# The command that makes this experiment, for its report: options other than the defaults,
# but for those that no result depends on.
declare -A asked_for=()
for name in "${options[@]}"; do asked_for[${name}]=${!name}; done
write_command() {
    local name
    [[ -z ${CLTM_RECIPE_DIR-} ]] || printf 'CLTM_RECIPE_DIR=%q ' "${CLTM_RECIPE_DIR#"${root}/"}"
    printf './run.sh'
    for name in "${options[@]}"; do
        case ${name} in
            stage | stop_stage | dry_run | rescore) continue ;;
            nj | jobs_per_gpu | retry | audio_cache | keep_models) continue ;;
        esac
        [[ ${asked_for[${name}]} == "${default[${name}]}" ]] ||
            printf ' --%s %s' "${name}" "$(quoted "${asked_for[${name}]}")"
    done
    printf '\n'
}
quoted() { # as a person would: %q puts a backslash before every blank
    if [[ $1 =~ ^[[:alnum:]_./:+-]+$ ]]; then
        printf '%s' "$1"
    elif [[ $1 =~ ^[[:alnum:]_./:+\ -]*$ ]]; then
        printf '"%s"' "$1"
    else
        printf '%q' "$1"
    fi
}

for name in stage stop_stage ngpu trials_seed pairs_seed audio_cache; do
    [[ ${!name} =~ ^[0-9]+$ ]] || fail "--${name} takes a whole number, not '${!name}'."
done
case ${corpus} in
    demo) corpus_dir=${corpus_dir:-${DEMO}} ;;
    common_voice) corpus_dir=${corpus_dir:-${COMMON_VOICE}} ;;
    kaldi) corpus_dir=${corpus_dir:-${KALDI}} ;;
    *) fail "the corpus '${corpus}' is unknown: give --corpus demo, common_voice or kaldi." ;;
esac
declare -A asked=()
for name in ${task}; do
    [[ ${name} == gender || ${name} == speaker ]] ||
        fail "the task '${name}' is unknown: give --task gender, speaker or \"gender speaker\"."
    asked[${name}]=true
done
[[ ${task} =~ [^[:space:]] ]] || fail "--task is empty: give --task gender, speaker or \"gender speaker\"."
# In one order, each once, for the tag.
task=$(for name in gender speaker; do [[ -z ${asked[${name}]-} ]] || printf '%s ' "${name}"; done)
task=${task% }
# What each task has its own of.
declare -A demo_budget=([gender]=3 [speaker]=32)
declare -A own_budget=([gender]=${gender_budget} [speaker]=${speaker_budget})
declare -A config=([gender]=${gender_config} [speaker]=${speaker_config})
declare -A metric=([gender]=${gender_metric} [speaker]=${speaker_metric})
declare -A metrics=([gender]="macro_f1 accuracy recall_f recall_m"
    [speaker]="roc_auc eer min_dcf_p0.01 min_dcf_p0.05")
is_regime=false
[[ -z ${regime_budgets//[[:space:]]/} ]] || is_regime=true
for n in ${regime_budgets}; do
    [[ ${n} =~ ^[1-9][0-9]*$ ]] ||
        fail "--regime_budgets holds '${n}': give whole numbers from 1 on, such as '4 8 16 32'."
done
if [[ ${is_regime} == true ]]; then
    has_double=false
    for n in ${regime_budgets}; do
        [[ " ${regime_budgets} " != *[[:space:]]"$((2 * n))"[[:space:]]* ]] || has_double=true
    done
    [[ ${has_double} == true ]] ||
        fail "--regime_budgets '${regime_budgets}' has no N together with its double: the gain\
 from N to 2N needs both."
fi
[[ ${pairs_fraction} =~ ^(1|1\.0*|0?\.[0-9]*[1-9][0-9]*)$ ]] ||
    fail "--pairs_fraction takes a share above 0 and at most 1, such as 0.2, not '${pairs_fraction}'."
tasks_in_tag=
plan_options=()
for name in ${task}; do
    n=${own_budget[${name}]:-${budget}}
    [[ -n ${n} || ${corpus} != demo ]] || n=${demo_budget[${name}]}
    [[ -n ${n} || ${is_regime} == true ]] || ((stop_stage < 3)) ||
        fail "--budget is missing: give the number of utterances of a single run."
    [[ ${n} =~ ^(|[1-9][0-9]*)$ ]] ||
        fail "--${own_budget[${name}]:+${name}_}budget takes a whole number from 1 on, not '${n}'."
    [[ -z ${metric[${name}]} || " ${metrics[${name}]} " == *" ${metric[${name}]} "* ]] ||
        fail "--${name}_metric '${metric[${name}]}' is unknown: give ${metrics[${name}]// /, }."
    [[ -r ${config[${name}]} ]] || ((stop_stage < 3)) ||
        fail "--${name}_config ${config[${name}]} cannot be read: correct the path."
    plan_options+=("--${name}_config" "${config[${name}]}")
    if [[ ${is_regime} == true ]]; then
        tasks_in_tag+=_${name}
    else
        tasks_in_tag+=_${name}_n${n}
        plan_options+=("--${name}_budget" "${n}")
    fi
done
[[ ${is_regime} == false ]] || tasks_in_tag+=_regime
if [[ -z ${shared_speakers} ]]; then
    shared_speakers=false
    [[ ${corpus} != common_voice ]] || shared_speakers=true
fi
[[ ${shared_speakers} =~ ^(true|false)$ ]] ||
    fail "--shared_speakers takes true or false, not '${shared_speakers}'."
[[ ${freeze} =~ ^(|none|cnn|all|[0-9]+)$ ]] ||
    fail "--freeze takes none, cnn, all or a number of transformer layers, not '${freeze}'."
[[ ${retry} == failed || ${retry} == none ]] ||
    fail "--retry takes failed or none, not '${retry}'."
[[ ${keep_models} =~ ^(none|single|all)$ ]] ||
    fail "--keep_models takes none, single or all, not '${keep_models}'."
for name in utts_per_speaker max_positives test_batch_bins jobs_per_gpu; do
    [[ ${!name} =~ ^[1-9][0-9]*$ ]] || fail "--${name} takes a whole number from 1 on, not '${!name}'."
done
for seed in ${seeds}; do
    [[ ${seed} =~ ^[0-9]+$ ]] || fail "--seeds holds '${seed}': give whole numbers, such as '42 43'."
done
tag=${tag:-${corpus}${tasks_in_tag}}
exp=${expdir}/${tag}
if ((stage > 3)) && [[ ! -e ${exp} ]]; then
    made=$(find "${expdir}" -mindepth 2 -maxdepth 2 -name plan.tsv -printf '%h ' 2>/dev/null || true)
    fail "there is no experiment ${exp}: run stage 3, or give the --tag of one there is (${made:-none})."
fi

. "${root}/path.sh"
. "${root}/cmd.sh"
if [[ -z ${nj} ]]; then
    nj=$(env -u OMP_NUM_THREADS nproc) # nproc takes that variable for the answer
    ((ngpu == 0)) || nj=$((ngpu * jobs_per_gpu))
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
        --dumpdir "${dumpdir}" --langs "${langs}" --seeds "${seeds}" "${plan_options[@]}" \
        --model "${model}" --freeze "${freeze}" --zero_shot "${zero_shot}" \
        --pairs_fraction "${pairs_fraction}" --pairs_seed "${pairs_seed}" \
        --regime_budgets "${regime_budgets}" \
        --shared_speakers "${shared_speakers}" --utts_per_speaker "${utts_per_speaker}" \
        --max_positives "${max_positives}" --trials_seed "${trials_seed}" \
        --cross_language_trials "${cross_language_trials}" \
        --test_batch_bins "${test_batch_bins}" \
        --executor "${cmd_backend:?}" --slurm_config "${slurm_config:?}" \
        --nj "${nj}" --ngpu "${ngpu}" --audio_cache "${audio_cache}" \
        --keep_models "${keep_models}" --dry_run "${dry_run}"
    if [[ ${dry_run} == false ]]; then
        write_command >"${exp}/command.txt.tmp"
        mv -- "${exp}/command.txt.tmp" "${exp}/command.txt"
    fi
fi

if [[ ${dry_run} == true ]] && ((stop_stage > 3)); then
    log "Stages 4 to 6 are left out, because of --dry_run true"
    stop_stage=3
fi

if ((stage <= 4 && stop_stage >= 4)); then
    how="${nj} at a time"
    [[ ${cmd_backend:?} == local ]] || how=${slurm_config}
    log "Stage 4: make the runs of ${exp}/plan.tsv (${cmd_backend}, ${how}; how far: ${exp}/progress.json)"
    "${local_dir}/run_plan.py" --exp "${exp}" --executor "${cmd_backend}" \
        --slurm_config "${slurm_config:?}" --nj "${nj}" --ngpu "${ngpu}" \
        --jobs_per_gpu "${jobs_per_gpu}" --audio_cache "${audio_cache}" --retry "${retry}" \
        --keep_models "${keep_models}"
fi

if ((stage <= 5 && stop_stage >= 5)); then
    log "Stage 5: score the runs of ${exp}"
    "${local_dir}/score.py" --exp "${exp}" --rescore "${rescore}"
fi

if ((stage <= 6 && stop_stage >= 6)) && [[ ${is_regime} == true ]]; then
    for name in ${task}; do
        log "Stage 6: learning curves and dynamic regime of ${name} in ${exp}/regime/${name}"
        "${local_dir}/find_regime.py" --results "${exp}/results.tsv" \
            --task "${name}" --outdir "${exp}/regime/${name}" \
            --languages_conf "${languages_conf}" ${metric[${name}]:+--metric "${metric[${name}]}"}
        log "The regime of ${name}: ${exp}/regime/${name}/regime.png"
    done
elif ((stage <= 6 && stop_stage >= 6)); then
    for name in ${task}; do
        log "Stage 6: build the matrix of ${name} in ${exp}/cltm/${name}"
        matrix_options=()
        [[ -z ${metric[${name}]} ]] || matrix_options+=(--metric "${metric[${name}]}")
        [[ -z ${distances} ]] || matrix_options+=(--distances "${distances}")
        regime=${expdir}/${corpus}_${name}_regime/regime/${name}/regime.json
        [[ ! -e ${regime} ]] || matrix_options+=(--regime "${regime}")
        "${local_dir}/build_matrix.py" --results "${exp}/results.tsv" \
            --task "${name}" --outdir "${exp}/cltm/${name}" \
            --languages_conf "${languages_conf}" "${matrix_options[@]}"
        log "The report of ${name}: ${exp}/cltm/${name}/report.html"
    done
fi

log "Successfully finished. [elapsed=$((SECONDS - start))s]"
