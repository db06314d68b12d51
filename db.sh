# shellcheck shell=bash disable=SC2034
# Where the corpora lie. Sourced by run.sh; give paths without ~.

# Common Voice, extracted: a directory with the languages, or the archives of several,
# in it or below it (docs/data.md).
COMMON_VOICE=

# Your own Kaldi directories: KALDI/<language>/{train,dev,test} with wav.scp, utt2spk
# and the labels of the task (utt2gender or spk2gender).
KALDI=

# The synthetic demo corpus; stage 1 makes it here.
DEMO=downloads/demo
DEMO_WORDS=downloads/demo_words

# Synthetic speech of languages of other corpora (es@tts in --langs); stage 1 makes it
# here.
TTS=downloads/tts
