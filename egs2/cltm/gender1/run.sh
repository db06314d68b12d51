#!/usr/bin/env bash
# The published gender experiment: 54 Common Voice languages, balanced training sets
# of N = 60 and 2N = 120 utterances per class, seeds 42 to 51, mHuBERT-147.
# Options come after these and win: ./run.sh --langs "ca es gl" --ngpu 1
set -euo pipefail

CLTM_RECIPE_DIR=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
export CLTM_RECIPE_DIR

languages="ab ar be bn ca ckb cs cy de dv en eo es et eu fa fr fy-NL gl hu hy-AM id it ja\
 ka kab kmr ky lg lt lv mhr mn mt nl pl pt ro ru rw sl sv-SE sw ta th tr ug uk ur uz yue\
 zh-CN zh-HK zh-TW"

exec "${CLTM_RECIPE_DIR}/cltm.sh" \
    --task gender \
    --corpus common_voice \
    --langs "${languages}" \
    --use_validated true \
    --max_train_utts 20000 \
    --budget 60 \
    --steps data \
    --seeds 42-51 \
    --gender_config conf/train_gender.yaml \
    --tag gender_mhubert147_n60 \
    "$@"
