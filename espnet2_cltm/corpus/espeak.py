"""espeak-ng through the library and data that the package espeakng_loader ships.

Gives the languages espeak-ng has, the text of its voice files, and speech: a voice
file's text, a prompt and a rate in, 16-bit mono samples at 22.05 kHz out.

The library keeps state from one utterance to the next (phases of its oscillators,
positions in its flutter and noise tables, its random numbers, which it seeds from
the clock), so that the same prompt sounds different the second time. A
:class:`Speech` object therefore speaks once, in a process that has spoken nothing
before; :mod:`espnet2_cltm.corpus.espeak_worker` provides such processes.
"""

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from espnet2_cltm.errors import UserError

SAMPLE_RATE = 22050

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples come through the callback
_DO_NOT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT
_UTF8 = 1  # espeakCHARS_UTF8
_END_PAUSE = 0x1000  # espeakENDPAUSE
_CHARACTERS = 1  # POS_CHARACTER
_INTERNATIONAL = 2  # espeakPHONEMES_IPA
_RATE, _VOLUME = 1, 2  # espeakRATE, espeakVOLUME

_DATA_LINK = "espeak-ng-data"
_VOICE_FILE = "voice"

_REINSTALL = "install the Python package espeakng-loader (again)"


@dataclass(frozen=True)
class Utterance:
    """What is spoken, and how.

    Attributes:
        lang: The language's code, which messages name.
        voice: Text of a voice file, the language's lines and the speaker's.
        rate: Words per minute, 80 to 450.
        volume: 0 to 200; 100 is espeak-ng's own choice.
        text: The prompt.
    """

    lang: str
    voice: str
    rate: int
    volume: int
    text: str


class Speech:
    """The library, set up in this process and ready to speak one utterance.

    Args:
        directory: An empty directory. It becomes the working directory, because
            the library cuts paths of more than 160 characters short: here it finds
            its data and the voice file under short names.

    Raises:
        UserError: The package espeakng_loader is missing or broken.
    """

    def __init__(self, directory: Path) -> None:
        (directory / _DATA_LINK).symlink_to(data_directory())
        os.chdir(directory)
        self._library = load_library()
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, b".", _DO_NOT_EXIT)
        if rate != SAMPLE_RATE:
            raise UserError(
                f"espeak-ng cannot use its data in {data_directory()}: {_REINSTALL}."
            )
        self._chunks: list[bytes] = []
        # Kept as an attribute: the library calls it as long as it speaks.
        self._callback = _CALLBACK(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: int | None, count: int, events: int | None) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def speak(self, utterance: Utterance) -> bytes:
        """Speak for the first and only time in this process.

        Args:
            utterance: What to say, and how.

        Returns:
            Signed 16-bit samples, little-endian as every machine that the package
            is built for, mono, 22.05 kHz; no silence at the end.

        Raises:
            UserError: espeak-ng lacks the words of this language for the text.
            RuntimeError: espeak-ng refuses the voice or the text.
        """
        library = self._library
        Path(_VOICE_FILE).write_bytes(utterance.voice.encode("latin-1"))
        library.espeak_ng_SetRandSeed(1)
        ctypes.CDLL(None).srand(1)
        text = utterance.text.encode("utf-8")
        # Without a pause at its end, an utterance with an echo is cut short.
        flags = _UTF8 | _END_PAUSE
        for name, status in (
            ("voice", library.espeak_SetVoiceByFile(_VOICE_FILE.encode())),
            ("rate", library.espeak_SetParameter(_RATE, utterance.rate, 0)),
            ("volume", library.espeak_SetParameter(_VOLUME, utterance.volume, 0)),
            (
                "text",
                library.espeak_Synth(
                    text, len(text) + 1, 0, _CHARACTERS, 0, flags, None, None
                ),
            ),
        ):
            if status != 0:
                raise RuntimeError(f"espeak-ng refused the {name}: status {status}")
        speech = b"".join(self._chunks).rstrip(b"\0")
        speech += b"\0" * (len(speech) % 2)
        if not speech:
            raise _cannot_read(utterance, "as silence")
        # Where a language has no words for them, espeak-ng reads numbers in another
        # language and marks the change in the phonemes, for instance as "(en)".
        if b"(" in self._phonemes(text):
            raise _cannot_read(utterance, "in another language")
        return speech

    def _phonemes(self, text: bytes) -> bytes:
        rest = ctypes.c_char_p(text)
        clauses = []
        while rest.value:
            clauses.append(
                self._library.espeak_TextToPhonemes(
                    ctypes.byref(rest), _UTF8, _INTERNATIONAL
                )
            )
        return b" ".join(clauses)


def _cannot_read(utterance: Utterance, how: str) -> UserError:
    return UserError(
        f"espeak-ng reads {utterance.text!r} {how} because it does not know the "
        f"words of the language {utterance.lang!r} for it: leave this language out."
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)


@cache
def load_library() -> ctypes.CDLL:
    """Load espeak-ng and declare the functions used here.

    Raises:
        UserError: The package espeakng_loader is missing or broken.
    """
    path = _loader().get_library_path()
    try:
        library = ctypes.CDLL(path)
        library.espeak_Initialize.argtypes = [
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
        ]
        library.espeak_Info.argtypes = [ctypes.c_void_p]
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_SetSynthCallback.argtypes = [_CALLBACK]
        library.espeak_SetVoiceByFile.argtypes = [ctypes.c_char_p]
        library.espeak_SetParameter.argtypes = [ctypes.c_int] * 3
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        library.espeak_TextToPhonemes.argtypes = [
            ctypes.POINTER(ctypes.c_char_p),
            ctypes.c_int,
            ctypes.c_int,
        ]
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
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


_DEFAULT_PRIORITY = 5


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


def _loader():
    try:
        import espeakng_loader
    except ImportError as error:
        raise UserError(
            f"The demo corpus is spoken by espeak-ng, which is missing ({error}): "
            f"{_REINSTALL}."
        ) from error
    return espeakng_loader
