"""The demo's speakers: who they are, and the espeak-ng voice file of each.

A speaker is a timbre (one of espeak-ng's voice variants), a pitch, formants, and a
manner of speaking, drawn from the ranges of the speaker's gender; the pitch rises and
falls from utterance to utterance with the speaker's mood. Within a gender and
a split every range is covered evenly: it is cut into as many parts as there are
speakers, and each part is used once, so that six test speakers are as varied as
twenty. All values are whole numbers, and so the same on every machine.
"""

from dataclasses import dataclass
from random import Random

from espnet2_cltm.corpus.datadir import GENDERS, SPLITS
from espnet2_cltm.corpus.demo_config import DemoConfig, Range
from espnet2_cltm.corpus.espeak import variant_file, voice_lines

_FORMANTS = range(9)


@dataclass(frozen=True)
class Speaker:
    """One speaker of one language.

    Attributes:
        id: ``<lang>-<f|m><number>``.
        gender: ``f`` or ``m``.
        split: ``train``, ``dev`` or ``test``.
        variant: espeak-ng's voice variant that gives the timbre.
        pitch: Hz, the lower end of the intonation.
        intonation: Hz, how far the intonation rises above it.
        formants: Percent for formants 0 to 8, relative to a neutral voice.
        flutter: espeak-ng's measure of unsteady pitch.
        rate: Words per minute.
        volume: Percent.
    """

    id: str
    gender: str
    split: str
    variant: str
    pitch: int
    intonation: int
    formants: tuple[int, ...]
    flutter: int
    rate: int
    volume: int


def draw_speakers(config: DemoConfig, lang: str) -> list[Speaker]:
    """Draw a language's speakers; other languages do not matter to it.

    Returns:
        Women before men; train, dev, test within a gender; numbered in that order.
    """
    speakers = []
    for gender in GENDERS:
        number = 0
        for split in SPLITS:
            for speaker in _draw_group(config, lang, gender, split):
                number += 1
                name = f"{lang}-{gender}{number:02d}"
                speakers.append(Speaker(id=name, gender=gender, split=split, **speaker))
    return speakers


def draw_moods(config: DemoConfig, speaker: Speaker) -> list[int]:
    """Draw in which mood a speaker says each utterance, in percent of the pitch.

    A speaker's utterances cover the range evenly, in an order that is drawn.
    """
    random = Random(f"{config.seed} {speaker.id} moods")
    return _spread(random, config.moods, config.splits[speaker.split].utterances)


def _draw_group(config: DemoConfig, lang: str, gender: str, split: str) -> list[dict]:
    count = config.splits[split].speakers
    ranges = config.voices[gender]
    random = Random(f"{config.seed} {lang} {gender} {split}")
    pitches = _spread(random, ranges.pitch, count)
    scales = _spread(random, ranges.formants, count)
    intonations = _spread(random, config.intonation, count)
    flutters = _spread(random, config.flutter, count)
    rates = _spread(random, config.rate, count)
    volumes = _spread(random, config.volume, count)
    variants = _shuffled(
        random, [ranges.variants[n % len(ranges.variants)] for n in range(count)]
    )
    return [
        {
            "variant": variants[n],
            "pitch": pitches[n],
            "intonation": pitches[n] * intonations[n] // 100,
            "formants": tuple(
                scales[n] * _between(random, config.single_formants) // 100
                for _ in _FORMANTS
            ),
            "flutter": flutters[n],
            "rate": rates[n],
            "volume": volumes[n],
        }
        for n in range(count)
    ]


def _spread(random: Random, limits: Range, count: int) -> list[int]:
    """Draw one value from each of ``count`` equal parts of a range, in any order."""
    lowest, highest = limits
    width = highest - lowest + 1
    return _shuffled(
        random,
        [lowest + int((n + random.random()) * width / count) for n in range(count)],
    )


def _between(random: Random, limits: Range) -> int:
    return limits[0] + int(random.random() * (limits[1] - limits[0] + 1))


def _shuffled(random: Random, values: list) -> list:
    # Not random.shuffle: only random() keeps its sequence between Python versions.
    return [value for _, value in sorted((random.random(), value) for value in values)]


# What a variant may say about the timbre. The rest either belongs to the speaker or
# the language (pitch, intonation, speed), or computes in floating point (breath,
# klatt), which need not give the same last bit on every processor.
_TIMBRE = ("roughness", "tone", "voicing", "consonants", "stressAmp")


def voice_text(speaker: Speaker, mood: int = 100) -> str:
    """Write the lines that make espeak-ng's voice of any language this speaker's.

    Args:
        speaker: Whose voice.
        mood: Percent of the speaker's pitch and intonation.

    Returns:
        Lines of a voice file. The variant's formants keep their relation to each other
        and their strength; their mean, which would give the gender away, is replaced
        by the speaker's.
    """
    pitch = speaker.pitch * mood // 100
    lines = [["pitch", pitch, pitch + speaker.intonation * mood // 100]]
    lines += [["flutter", speaker.flutter]]
    variant = voice_lines(variant_file(speaker.variant))
    lines += [line for line in variant if line[0] in _TIMBRE]
    formants = {number: [100, 100, 100] for number in _FORMANTS}
    for key, *values in variant:
        if key == "formant":
            number, frequency, *strength = map(int, values)
            formants[number] = [frequency, *strength[:2]]
    mean = sum(formants[number][0] for number in (1, 2, 3)) // 3
    for number, (frequency, *strength) in formants.items():
        scaled = frequency * speaker.formants[number] // mean
        lines.append(["formant", number, scaled, *strength])
    return "".join(" ".join(map(str, line)) + "\n" for line in lines)
