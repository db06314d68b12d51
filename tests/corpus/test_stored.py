import pytest

from espnet2_cltm.corpus.datadir import Utterance, write_data_dir
from espnet2_cltm.corpus.stored import FINGERPRINT, checksums_of_tables, read_split
from espnet2_cltm.corpus.utterance_list import HEADER, read_utterance_list
from espnet2_cltm.errors import UserError


@pytest.fixture
def split(tmp_path):
    rows = [Utterance(f"s-{n}", "s", f"a.ark:{n}", {"age": "teens"}) for n in range(3)]
    (tmp_path / "utt2num_samples").write_text("s-0 400\ns-1 401\ns-2 402\n")
    write_data_dir(tmp_path, rows)
    lines = ["made from", *checksums_of_tables(tmp_path)]
    (tmp_path / FINGERPRINT).write_text("\n".join(lines))
    return tmp_path


def test_a_split_is_read_as_stage_2_wrote_it(split):
    utterances, lengths = read_split(split)
    assert [row.audio for row in utterances] == ["a.ark:0", "a.ark:1", "a.ark:2"]
    assert lengths == {"s-0": 400, "s-1": 401, "s-2": 402}
    (split / "notes").touch()
    assert read_split(split)[1] == lengths


@pytest.mark.parametrize("name", ["wav.scp", "utt2num_samples", "utt2spk", "utt2age"])
@pytest.mark.parametrize("content", [b"", b"s-0 x\n", None, b"\xff"])
def test_a_changed_table_is_named(split, name, content):
    if content is None:
        (split / name).unlink()
    else:
        (split / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} is not as stage 2 wrote it: run st"):
        read_split(split)


@pytest.mark.parametrize("lengths", ["s-0 400\n", "s-0 400\ns-1 four\ns-2 402\n"])
def test_a_length_that_is_missing_is_named(split, lengths):
    (split / FINGERPRINT).unlink()
    (split / "utt2num_samples").write_text(lengths)
    with pytest.raises(UserError, match="no number of samples for s-1"):
        read_split(split)


FOREIGN = ["touch ran |", "| touch ran", "a.wav", "a.ark:1[0:4]", "touch x:1 |"]


@pytest.mark.parametrize("audio", FOREIGN)
def test_only_entries_of_arks_are_taken_behind_stage_2(split, audio):
    (split / FINGERPRINT).unlink()
    (split / "wav.scp").write_text(f"s-0 a.ark:0\ns-1 {audio}\ns-2 a.ark:2\n")
    with pytest.raises(UserError, match=r"audio of s-1 is not file\.ark:offset"):
        read_split(split)
    lines = ["\t".join(HEADER), "s-0\tf\t400\ta.ark:0\ts", f"s-1\tf\t400\t{audio}\ts"]
    (split / "list.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"list\.tsv, line 3: the audio of s-1 is not"):
        read_utterance_list(split / "list.tsv")
