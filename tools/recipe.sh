# shellcheck shell=bash
# Sourced by the recipes, which have set root: the directory to work in, the environment,
# the places of corpora, and what recipes say.

CDPATH="" cd -- "${CLTM_RECIPE_DIR:-${root:?}}" || exit
. "${root}/tools/signals.sh"
. "${root}/path.sh"
set -a # db.sh's and cmd.sh's variables are read by Python
. "${root}/db.sh"
. "${root}/cmd.sh"
for own in ./db.sh ./cmd.sh; do # of the directory of the data and results: they win
    # shellcheck source=/dev/null
    [[ ! -f ${own} ]] || . "${own}"
done
set +a

start=${SECONDS}
log() { printf '%s (%s) %s\n' "$(date '+%Y-%m-%dT%H:%M:%S')" "${0##*/}" "$*"; }
fail() {
    printf '%s: error: %s\n' "${0##*/}" "$*" >&2
    exit 1
}
finished() { log "Successfully finished. [elapsed=$((SECONDS - start))s]"; }
