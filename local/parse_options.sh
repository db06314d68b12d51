# shellcheck shell=bash
# Read a script's options, as Kaldi's and ESPnet's parse_options does; source it:
#
#   stage=1                            # the defaults
#   dry_run=false
#   options=(stage dry_run)            # the variables that are options
#   help_message="Usage: ..."
#   . local/parse_options.sh
#
# Takes `--name value` and `--name=value`, `-` and `_` in names alike. An option
# whose default is true or false takes only true or false. Everything else is
# refused with one sentence and status 1; `--help` prints ${help_message}.

# shellcheck disable=SC2154

_option_mistake() {
    printf '%s: error: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

_list_options() {
    local name
    for name in "${options[@]}"; do printf -- '--%s ' "${name}"; done
}

_is_option() {
    local name
    for name in "${options[@]}"; do
        [[ ${name} == "$1" ]] && return 0
    done
    return 1
}

# Number of letters to insert, delete or replace between $1 and $2.
_edit_distance() {
    local first=$1 second=$2 i j cost best
    local -a above row
    for ((j = 0; j <= ${#second}; j++)); do above[j]=${j}; done
    for ((i = 1; i <= ${#first}; i++)); do
        row=("${i}")
        for ((j = 1; j <= ${#second}; j++)); do
            cost=1
            [[ ${first:i-1:1} == "${second:j-1:1}" ]] && cost=0
            best=$((above[j - 1] + cost))
            ((above[j] + 1 < best)) && best=$((above[j] + 1))
            ((row[j - 1] + 1 < best)) && best=$((row[j - 1] + 1))
            row[j]=${best}
        done
        above=("${row[@]}")
    done
    printf '%s' "${above[${#second}]}"
}

# Print " Did you mean --NAME?" for the known option nearest to $1, if one is near.
_suggest_option() {
    local name distance least=3 nearest=""
    for name in "${options[@]}"; do
        distance=$(_edit_distance "$1" "${name}")
        if ((distance < least)); then
            least=${distance}
            nearest=${name}
        fi
    done
    [[ -z ${nearest} ]] || printf ' Did you mean --%s?' "${nearest}"
}

_parse_options() {
    local argument name value default following
    while (($# > 0)); do
        argument=$1
        shift
        case ${argument} in
            --help | -h)
                printf '%s\n' "${help_message:-Options: $(_list_options)}"
                exit 0
                ;;
            --?*) ;;
            *)
                _option_mistake "'${argument}' is not expected here: every option is\
 written --name value, and a value with spaces stands in quotes. Options:\
 $(_list_options)"
                ;;
        esac
        name=${argument#--}
        name=${name%%=*}
        name=${name//-/_}
        if ! _is_option "${name}"; then
            _option_mistake "there is no option --${name}.$(_suggest_option "${name}")\
 Options: $(_list_options)"
        fi
        default=${!name-}
        if [[ ${argument} == *=* ]]; then
            value=${argument#*=}
        else
            following=${1-}
            following=${following%%=*}
            following=${following#--}
            if (($# == 0)) || { [[ $1 == --* ]] && _is_option "${following//-/_}"; }; then
                case ${default} in
                    true | false) _option_mistake "--${name} needs a value: true or false." ;;
                    *) _option_mistake "--${name} needs a value: --${name} VALUE." ;;
                esac
            fi
            value=$1
            shift
        fi
        case ${default} in
            true | false)
                if [[ ${value} != true && ${value} != false ]]; then
                    _option_mistake "--${name} takes true or false, not '${value}'."
                fi
                ;;
        esac
        printf -v "${name}" '%s' "${value}"
    done
}

_parse_options "$@"
set --
unset -f _parse_options _suggest_option _edit_distance _is_option _list_options \
    _option_mistake
