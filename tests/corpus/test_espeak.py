"""espeak-ng: the same bytes whatever came before, and one sentence when it fails."""

import ctypes
import hashlib
import itertools
import json
import os
import random
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from espnet2_cltm.corpus import espeak
from espnet2_cltm.corpus.espeak import Prompt
from espnet2_cltm.corpus.espeak_workers import speak_files
from espnet2_cltm.errors import UserError

ROOT = Path(__file__).parents[2]


def utterance(lang="es", variant="f2", text="14 35", rate=170, volume=90):
    files = (espeak.language_files()[lang], espeak.variant_file(variant))
    voice = "\n".join(path.read_text(encoding="latin-1") for path in files)
    return Prompt(lang, voice, rate, volume, text)


def samples(path):
    with wave.open(str(path), "rb") as audio:
        assert audio.getparams()[:3] == (1, 2, 22050)
        return audio.readframes(audio.getnframes())


# Whispering uses random noise, f3 an echo, klatt another synthesiser.
VARIANTS = ("whisper", "f3", "klatt2", "m1")
UTTERANCES = {
    f"{lang}-{variant}.wav": (lang, variant)
    for lang, variant in itertools.product(("es", "cmn", "sw"), VARIANTS)
}


def speak_all(directory, order_seed=0, nj=1):
    """Speak UTTERANCES in some order; hash each file."""
    names = sorted(UTTERANCES)
    random.Random(order_seed).shuffle(names)
    jobs = {Path(directory) / name: utterance(*UTTERANCES[name]) for name in names}
    assert list(speak_files(jobs, nj)) == list(jobs)
    return {
        name: hashlib.sha256((Path(directory) / name).read_bytes()).hexdigest()
        for name in sorted(names)
    }


def test_bytes_do_not_depend_on_order_or_number_of_processes(tmp_path):
    reference = speak_all(tmp_path / "0")
    assert len(set(reference.values())) == len(reference)
    for seed, nj in ((1, 1), (2, 2), (3, 3)):
        assert speak_all(tmp_path / str(seed), seed, nj) == reference


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "2", "LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Tokyo"},
        # glibc fills memory that it hands out or takes back with this byte: the
        # result would change if the library read memory that it had not written.
        {"MALLOC_PERTURB_": "85"},
        {"MALLOC_PERTURB_": "170", "PADDING": "x" * 5000},
    ],
    ids=lambda environment: next(iter(environment.values())),
)
def test_bytes_do_not_depend_on_hash_seed_locale_or_memory(tmp_path, environment):
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]; import test_espeak; "
        "print(test_espeak.speak_all(sys.argv[1], order_seed=7))"
    )
    output = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "b", ROOT, Path(__file__).parent],
        env=os.environ | environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert output.strip() == str(speak_all(tmp_path / "a"))


@pytest.mark.parametrize(
    ("lang", "variant"), [("es", "f1"), ("cmn", "m6"), ("fi", "f4")]
)
def test_a_voice_of_two_files_sounds_as_espeaks_own_combination(
    tmp_path, lang, variant
):
    path = tmp_path / "ours.wav"
    list(speak_files({path: utterance(lang, variant, "1987", 160, 100)}, 1))
    # Straight through the library, with the voice named as on espeak-ng's command line.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        library = ctypes.CDLL(espeak.load_library()._name)
        chunks = []

        @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        def receive(data, count, events):
            if data and count > 0:
                chunks.append(ctypes.string_at(data, 2 * count))
            return 0

        library.espeak_Initialize(2, 0, str(espeak.data_directory()).encode(), 0)
        library.espeak_SetSynthCallback(receive)
        library.espeak_SetVoiceByName(f"{lang}+{variant}".encode())
        library.espeak_SetParameter(1, 160, 0)
        library.espeak_Synth(b"1987", ctypes.c_size_t(5), 0, 1, 0, 0x1001, None, None)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(b"".join(chunks))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        reference = pipe.read()
    os.waitpid(child, 0)
    assert len(reference) > 22050
    assert samples(path).rstrip(b"\0") == reference.rstrip(b"\0")


def test_text_rate_volume_and_voice_are_heard(tmp_path):
    jobs = {
        tmp_path / "a.wav": utterance(),
        tmp_path / "slow.wav": utterance(rate=90),
        tmp_path / "soft.wav": utterance(volume=30),
        tmp_path / "text.wav": utterance(text="14 35 14 35"),
        tmp_path / "voice.wav": utterance(variant="m2"),
        tmp_path / "language.wav": utterance(lang="tr"),
    }
    a, slow, soft, text, voice, language = map(samples, speak_files(jobs, 2))
    assert len(slow) > 1.3 * len(a)
    assert len(text) > 1.6 * len(a)
    assert max(memoryview(soft).cast("h")) < 0.6 * max(memoryview(a).cast("h"))
    assert len({a, voice, language}) == 3


def phones(path):
    return [
        (float(start), float(duration), phone)
        for _, _, start, duration, phone in map(
            str.split, path.with_suffix(".ctm").read_text(encoding="utf-8").splitlines()
        )
    ]


def test_phones_and_their_times_lie_beside_the_audio(tmp_path):
    path = tmp_path / "a.wav"
    list(speak_files({path: utterance(variant="m1", text="noche, tacos")}, 1))
    found = phones(path)
    assert " ".join(phone for *_, phone in found) == "n o t\u0361ʃ e t a k o s"
    audio = memoryview(samples(path)).cast("h")
    for (start, duration, phone), (following, *_) in itertools.pairwise(found):
        assert start + duration <= following + 0.0002, phone
        part = audio[round(start * 22050) : round((start + duration) * 22050)]
        assert max(map(abs, part)) > 300, phone
    # Between the words there is a pause, which is nobody's.
    pause = audio[
        round((found[3][0] + found[3][1]) * 22050) : round(found[4][0] * 22050)
    ]
    assert len(pause) > 2000 and max(map(abs, pause)) < 300
    assert found[-1][0] + found[-1][1] == pytest.approx(len(audio) / 22050, abs=1e-3)


def test_a_stop_begins_with_its_closure(tmp_path):
    path = tmp_path / "a.wav"
    list(speak_files({path: utterance(variant="m1", text="ata")}, 1))
    audio = memoryview(samples(path)).cast("h")
    (_, _, a), (start, duration, t), _ = phones(path)
    assert (a, t) == ("a", "t")
    stop = audio[round(start * 22050) : round((start + duration) * 22050)]
    # Silence first, then the release.
    third = len(stop) // 3
    assert not any(stop[2:third]) and max(map(abs, stop[third:])) > 300


def test_languages_are_all_that_have_a_voice_and_a_dictionary():
    languages = espeak.language_files()
    assert {"en", "es", "sw", "tr", "ka", "cmn", "yue", "en-us"} <= languages.keys()
    assert len(languages) > 120
    assert not {"fo", "kaa", "xex", "variant"} & languages.keys()
    # gmw/en-US and gmw/en both speak "en"; espeak-ng prefers the latter.
    assert languages["en"].name == "en"


@pytest.mark.parametrize(
    ("lang", "how"), [("cv", "as silence"), ("ne", "in another language")]
)
def test_a_language_without_numbers_is_refused(tmp_path, lang, how):
    with pytest.raises(UserError, match=f"'14 35' {how} because .* '{lang}'"):
        list(speak_files({tmp_path / "a.wav": utterance(lang)}, 1))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_variant_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match=r"no voice variant 'f99': .* f1, f2,"):
        espeak.variant_file("f99")


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "a.wav"
    with pytest.raises(UserError, match=f"{path.with_suffix('')}.* cannot be written"):
        list(speak_files({path: utterance()}, 1))


def test_no_room_for_temporary_files_is_told():
    # /proc takes no new file, also not from root.
    script = (
        "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/proc/self']; "
        "from espnet2_cltm.corpus.espeak_workers import main; main()"
    )
    worker = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        input="{}\n",
        capture_output=True,
        check=True,
        text=True,
    )
    answer = json.loads(worker.stdout)
    assert answer["user"] and "set TMPDIR to another place" in answer["message"]


def test_nothing_to_speak_takes_no_worker():
    assert list(speak_files({}, 4)) == []


@pytest.fixture
def loader(tmp_path, monkeypatch):
    """A package espeakng_loader of our own, found before the real one."""
    library, data = espeak.load_library()._name, espeak.data_directory()
    package = tmp_path / "packages" / "espeakng_loader"
    package.mkdir(parents=True)

    def install(library=library, data=data):
        (package / "__init__.py").write_text(
            f"def get_library_path(): return {str(library)!r}\n"
            f"def get_data_path(): return {str(data)!r}\n"
        )

    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.delitem(sys.modules, "espeakng_loader")
    for function in (espeak.load_library, espeak.language_files):
        function.cache_clear()
    yield install
    for function in (espeak.load_library, espeak.language_files):
        function.cache_clear()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r"missing .*install the Python package"):
        espeak.data_directory()


def test_a_broken_library_is_named(loader, tmp_path):
    broken = tmp_path / "libespeak-ng.so"
    broken.write_bytes(b"\x7fELF but no more")
    loader(library=broken)
    with pytest.raises(UserError, match=f"library {broken} cannot be used"):
        espeak.version()
    with pytest.raises(UserError, match=f"library {broken} cannot be used"):
        list(speak_files({tmp_path / "a.wav": utterance()}, 1))


def test_damaged_data_is_named(loader, tmp_path):
    loader(data=tmp_path)
    with pytest.raises(UserError, match=f"{tmp_path} is damaged"):
        espeak.language_files()


def test_data_and_audio_may_lie_deep(loader, tmp_path):
    shallow = tmp_path / "shallow.wav"
    list(speak_files({shallow: utterance()}, 1))
    deep = tmp_path.joinpath(*["a-long-name-of-a-directory"] * 12)
    deep.mkdir(parents=True)
    (deep / "espeak-ng-data").symlink_to(espeak.data_directory())
    loader(data=deep / "espeak-ng-data")
    espeak.language_files.cache_clear()
    list(speak_files({deep / "deep.wav": utterance()}, 1))
    assert (deep / "deep.wav").read_bytes() == shallow.read_bytes()
