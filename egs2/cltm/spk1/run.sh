#!/usr/bin/env bash
# The published speaker verification experiment: 44 Common Voice languages, training
# sets of N = 1000 and 2N = 2000 utterances, seeds 42 to 51, in four systems:
#   ./run.sh --system hubert|ecapa|siamese|speechllm
# Options come after these and win: ./run.sh --system ecapa --langs "ca es gl" --ngpu 1
set -euo pipefail

CLTM_RECIPE_DIR=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
export CLTM_RECIPE_DIR

languages="ab ar be bn ca ckb cs cy de en eo es eu fa fr gl hu hy-AM it ka kab kmr ky lg\
 mhr nl pl pt ro ru rw sv-SE sw ta th tr ug uk ur uz yue zh-CN zh-HK zh-TW"

fail() {
    printf '%s: error: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# --system is this recipe's own option; all others go on, in their order.
system=hubert
others=()
while (($# > 0)); do
    case $1 in
        --system=*) system=${1#*=} ;;
        --system)
            (($# > 1)) || fail "--system needs a value: hubert, ecapa, siamese or speechllm."
            system=$2
            shift
            ;;
        --help | -h)
            printf '%s\n' "Usage: ./run.sh [--system ${system}] [--option value ...]" "" \
                "  --system ${system}   hubert, ecapa, siamese or speechllm" "" \
                "and the options of cltm.sh, which win over those that this script gives:" ""
            others+=("$1")
            ;;
        *) others+=("$1") ;;
    esac
    shift
done
case ${system} in
    hubert) name=mhubert147 ;;
    ecapa | siamese | speechllm) name=${system} ;;
    *)
        fail "the system '${system}' is unknown: give --system hubert, ecapa, siamese or" \
            "speechllm."
        ;;
esac

n=1000
for ((i = 0; i < ${#others[@]}; i++)); do
    case ${others[i]} in
        --budget | --speaker[_-]budget) n=${others[i + 1]-} ;;
        --budget=* | --speaker[_-]budget=*) n=${others[i]#*=} ;;
    esac
done

exec "${CLTM_RECIPE_DIR}/cltm.sh" \
    --task speaker \
    --corpus common_voice \
    --langs "${languages}" \
    --use_validated true \
    --require_labels gender \
    --max_train_utts 100000 \
    --budget 1000 \
    --steps data \
    --utts_per_speaker 80 \
    --max_positives 200 \
    --seeds 42-51 \
    --speaker_config "conf/tuning/train_${system}.yaml" \
    --tag "speaker_${name}_n${n}" \
    ${others[@]+"${others[@]}"}
