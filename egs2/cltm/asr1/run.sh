#!/usr/bin/env bash
# The published speech recognition experiment: 9 Common Voice languages, characters,
# seeds 42 to 51, mHuBERT-147 with CTC. --budget has to be given: see README.md.
# Options come after these and win: ./run.sh --budget 1000 --langs "ca es" --ngpu 1
set -euo pipefail

CLTM_RECIPE_DIR=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
export CLTM_RECIPE_DIR

exec "${CLTM_RECIPE_DIR}/cltm.sh" \
    --task asr \
    --corpus common_voice \
    --langs "be ca de en eo es fr mhr ug" \
    --require_labels "" \
    --max_train_utts 20000 \
    --steps data \
    --asr_vocabulary run \
    --asr_metric utt_wer \
    --seeds 42-51 \
    --asr_config conf/train_asr.yaml \
    "$@"
