from espnet2_cltm.counting import agreeing, counted


def test_noun_and_verb_go_with_the_number():
    assert [counted(n, "run") for n in (0, 1, 1200)] == [
        "0 runs",
        "1 run",
        "1,200 runs",
    ]
    assert [agreeing(n, "is", "are") for n in (0, 1, 2)] == ["are", "is", "are"]
