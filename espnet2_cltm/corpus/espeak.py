"""espeak-ng through the library and data that the package espeakng_loader ships.

Returns the languages espeak-ng has, the text of its voice files, and speech: a voice
file's text, a prompt and a rate in, 16-bit mono samples at 22.05 kHz out, with the
times of their phones.

A process speaks once: :mod:`espnet2_cltm.corpus.espeak_workers` starts one for each
prompt and writes files.
"""

import ctypes
import itertools
import os
from ctypes import POINTER, c_char_p, c_int, c_long, c_size_t, c_uint, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from espnet2_cltm.corpus.espeak_phones import phones_of_events
from espnet2_cltm.corpus.phones import Phone
from espnet2_cltm.errors import UserError

SAMPLE_RATE = 22050

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples come through the callback
_PHONEME_EVENTS = 0x1 | 0x2  # espeakINITIALIZE_PHONEME_EVENTS, …_PHONEME_IPA
_DO_NOT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT
_LAST, _PHONEME = 0, 7  # espeakEVENT_LIST_TERMINATED, espeakEVENT_PHONEME
_EVENT_TEXT = 8  # bytes
_UTF8 = 1  # espeakCHARS_UTF8
_END_PAUSE = 0x1000  # espeakENDPAUSE
_CHARACTERS = 1  # POS_CHARACTER
_INTERNATIONAL = 2  # espeakPHONEMES_IPA
_SEPARATED = ord("_") << 8  # what stands between phonemes
_RATE, _VOLUME = 1, 2  # espeakRATE, espeakVOLUME

FOREIGN = "("
"""What marks phonemes of another language."""

_DATA_LINK = "espeak-ng-data"
_VOICE_FILE = "voice"

_REINSTALL = "install the Python package espeakng-loader (again)"
_DEFAULT_PRIORITY = 5

_CALLBACK = ctypes.CFUNCTYPE(c_int, c_void_p, c_int, c_void_p)
# Result and arguments of the functions used here.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "espeak_Initialize": (c_int, [c_int, c_int, c_char_p, c_int]),
    "espeak_Info": (c_char_p, [c_void_p]),
    "espeak_SetSynthCallback": (c_int, [_CALLBACK]),
    "espeak_SetVoiceByFile": (c_int, [c_char_p]),
    "espeak_SetParameter": (c_int, [c_int, c_int, c_int]),
    "espeak_Synth": (
        c_int,
        [c_char_p, c_size_t, c_uint, c_int, c_uint, c_uint, c_void_p, c_void_p],
    ),
    "espeak_TextToPhonemes": (c_char_p, [POINTER(c_char_p), c_int, c_int]),
    "espeak_ng_SetRandSeed": (c_int, [c_long]),
}


class _Event(ctypes.Structure):
    """espeak-ng's ``espeak_EVENT``."""

    _fields_ = [
        ("type", c_int),
        ("unique_identifier", c_uint),
        ("text_position", c_int),
        ("length", c_int),
        ("audio_position", c_int),
        ("sample", c_int),
        ("user_data", c_void_p),
        ("text", ctypes.c_uint8 * _EVENT_TEXT),  # a char array would end at a zero
    ]


@dataclass(frozen=True)
class Prompt:
    """What is spoken, and how.

    Attributes:
        lang: Language's code, which messages name.
        voice: Text of a voice file, the language's lines and the speaker's.
        rate: Words per minute, 80 to 450.
        volume: 0 to 200; 100 is espeak-ng's own choice.
        text: Words.
    """

    lang: str
    voice: str
    rate: int
    volume: int
    text: str


@dataclass(frozen=True)
class Speech:
    """What was spoken.

    Attributes:
        samples: Signed 16-bit samples, little-endian as every machine that the package
            is built for, mono, 22.05 kHz; no silence at the end.
        phones: Its sounds and their times.
    """

    samples: bytes
    phones: list[Phone]


class Synthesiser:
    """The library, set up in this process and ready to speak one prompt.

    Args:
        directory: Empty directory. It becomes the working directory, because the
            library cuts paths of more than 160 characters short: here it finds its
            data and the voice file under short names.

    Raises:
        UserError: The package espeakng_loader is missing or broken.
    """

    def __init__(self, directory: Path) -> None:
        (directory / _DATA_LINK).symlink_to(data_directory())
        os.chdir(directory)
        self._library = load_library()
        flags = _DO_NOT_EXIT | _PHONEME_EVENTS
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, b".", flags)
        if rate != SAMPLE_RATE:
            raise UserError(
                f"espeak-ng cannot use its data in {data_directory()}: {_REINSTALL}."
            )
        self._chunks: list[bytes] = []
        self._events: list[tuple[int, bytes]] = []
        # Kept as an attribute: the library calls it as long as it speaks.
        self._callback = _CALLBACK(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: int | None, count: int, events: int | None) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        for number in itertools.count():
            if not events:
                break
            event = ctypes.cast(events, POINTER(_Event))[number]
            if event.type == _LAST:
                break
            if event.type == _PHONEME:
                text = bytes(event.text).partition(b"\0")[0]
                self._events.append((event.sample, text))
        return 0

    def speak(self, prompt: Prompt) -> Speech:
        """Speak for the first and only time in this process.

        Args:
            prompt: What to say, and how.

        Raises:
            UserError: espeak-ng lacks the words of this language for the text.
            RuntimeError: espeak-ng refuses the voice or the text.
        """
        library = self._library
        library.espeak_ng_SetRandSeed(1)
        ctypes.CDLL(None).srand(1)
        text = prompt.text.encode("utf-8")
        # Without a pause at its end, an utterance with an echo is cut short.
        flags = _UTF8 | _END_PAUSE
        size = len(text) + 1
        statuses = {
            "voice": self.set_voice(prompt.voice),
            "rate": library.espeak_SetParameter(_RATE, prompt.rate, 0),
            "volume": library.espeak_SetParameter(_VOLUME, prompt.volume, 0),
            "text": library.espeak_Synth(
                *(text, size, 0, _CHARACTERS, 0, flags, None, None)
            ),
        }
        for name, status in statuses.items():
            if status != 0:
                raise RuntimeError(f"espeak-ng refused the {name}: status {status}")
        speech = b"".join(self._chunks).rstrip(b"\0")
        speech += b"\0" * (len(speech) % 2)
        if not speech:
            raise _cannot_read(prompt, "as silence")
        # Where a language has no words for them, espeak-ng reads numbers in another
        # language and marks the change in the phonemes, for instance as "(en)".
        if FOREIGN in self.phonemes(prompt.text):
            raise _cannot_read(prompt, "in another language")
        return Speech(speech, phones_of_events(self._events, speech, SAMPLE_RATE))

    def set_voice(self, voice: str) -> int:
        """Take a voice, given as the text of its file; return 0 if it is one."""
        Path(_VOICE_FILE).write_bytes(voice.encode("latin-1"))
        return self._library.espeak_SetVoiceByFile(_VOICE_FILE.encode())

    def phonemes(self, text: str) -> str:
        """Return what the voice says for a text.

        Returns:
            IPA: phonemes of a word separated by ``_``, words by blanks. Where it is
            of another language, that is named, as in ``(en)``.
        """
        rest = ctypes.c_char_p(text.encode())
        clauses = []
        while rest.value:
            clauses.append(
                self._library.espeak_TextToPhonemes(
                    ctypes.byref(rest), _UTF8, _INTERNATIONAL | _SEPARATED
                )
            )
        return b" ".join(clauses).decode()


def _cannot_read(prompt: Prompt, how: str) -> UserError:
    return UserError(
        f"espeak-ng reads {prompt.text!r} {how} because it does not know the "
        f"words of the language {prompt.lang!r} for it: leave this language out."
    )


@cache
def load_library() -> ctypes.CDLL:
    """Load espeak-ng.

    Raises:
        UserError: The package espeakng_loader is missing or broken.
    """
    path = _loader().get_library_path()
    try:
        library = ctypes.CDLL(path)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise UserError(
            f"The espeak-ng library {path} cannot be used ({error}): {_REINSTALL}."
        ) from error
    return library


def version() -> str:
    """Return the library's version, on which every sample depends.

    Raises:
        UserError: The package espeakng_loader is missing or broken.
    """
    return load_library().espeak_Info(None).decode()


def data_directory() -> Path:
    """Return the directory of espeak-ng's voices, rules and phonemes.

    Raises:
        UserError: The package espeakng_loader is missing or broken.
    """
    loader = _loader()
    try:
        path = Path(loader.get_data_path())
    except RuntimeError as error:
        raise UserError(
            f"The data of espeak-ng is missing ({error}): {_REINSTALL}."
        ) from error
    if not (path / "phontab").is_file():
        raise UserError(f"The data of espeak-ng in {path} is damaged: {_REINSTALL}.")
    return path


@cache
def language_files() -> dict[str, Path]:
    """Map every language code that espeak-ng offers to its voice file.

    A voice file names its languages in lines ``language <code> [<priority>]``. Where
    two files name the same code, the lower priority number wins, as in espeak-ng.
    Voices whose dictionary is not in the package are left out.

    Raises:
        UserError: The package espeakng_loader is missing or broken.
    """
    offers: dict[str, tuple[int, Path]] = {}
    data = data_directory()
    for path in sorted((data / "lang").rglob("*")):
        if not path.is_file():
            continue
        lines = voice_lines(path)
        languages = [line[1:] for line in lines if line[0] == "language"]
        dictionary = languages[0][0].partition("-")[0]
        for key, *values in lines:
            if key == "dictionary":
                dictionary = values[0]
        if not (data / f"{dictionary}_dict").is_file():
            continue
        for code, *priority in languages:
            offer = (int(priority[0]) if priority else _DEFAULT_PRIORITY, path)
            offers[code] = min(offer, offers.get(code, offer))
    return {code: offers[code][1] for code in sorted(offers)}


def variant_file(name: str) -> Path:
    """Return the file of one of espeak-ng's voice variants, such as ``f2``.

    Raises:
        UserError: There is no such variant.
    """
    directory = data_directory() / "voices" / "!v"
    known = sorted(path.name for path in directory.iterdir())
    if name not in known:
        raise UserError(
            f"espeak-ng has no voice variant {name!r}: choose from {', '.join(known)}."
        )
    return directory / name


def voice_lines(path: Path) -> list[list[str]]:
    """Read a voice file's lines, split at white space, without comments.

    Voice files are nearly ASCII; comments hold bytes of several encodings, hence
    Latin-1, which reads anything.
    """
    text = path.read_text(encoding="latin-1")
    lines = (
        line.partition("//")[0].split()
        for line in text.splitlines()
        if not line.startswith("#")
    )
    return [line for line in lines if line]


def _loader() -> ModuleType:
    try:
        import espeakng_loader
    except ImportError as error:
        raise UserError(
            "espeak-ng, which speaks the demo corpus and knows phones, is missing "
            f"({error}): {_REINSTALL}."
        ) from error
    return espeakng_loader
