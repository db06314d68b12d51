from espnet2_cltm.corpus.audio_places import audio_file


def test_the_file_of_a_wav_scp_value(tmp_path):
    assert audio_file("a/b c.wav") == "a/b c.wav"
    assert audio_file("a.ark:123") == "a.ark"
    assert audio_file("a.ark:123[0:400]") == "a.ark"
    assert audio_file("cat x.wav | ") is None
    odd = tmp_path / "talk.wav:12"
    odd.touch()
    assert audio_file(str(odd)) == str(odd)
