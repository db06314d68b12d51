"""What --pools may ask for, and the table of donors."""

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.pools import POOLS_KIND, ChosenPool, read_pools, write_pools


def test_pools_are_read_and_donors_sorted():
    read = POOLS_KIND.read("all nearest:3 recommended:2 random:1 pt+ca")
    assert read == ("all", "nearest:3", "recommended:2", "random:1", "ca+pt")


@pytest.mark.parametrize(
    "text",
    ["nearest", "nearest:0", "best:3", "all all", "ca+ca", "ca+pt pt+ca", "c a+"],
)
def test_what_is_no_pool_is_refused(text):
    with pytest.raises(ValueError):
        POOLS_KIND.read(text)


def test_the_table_survives_its_file(tmp_path):
    pools = [
        ChosenPool("gl", "nearest:2", ("es", "pt")),
        ChosenPool("gl", "random:1", ("tr",), 42),
    ]
    path = tmp_path / "pools.tsv"
    write_pools(path, pools)
    assert read_pools(path) == pools
    write_pools(path, [])
    assert read_pools(path) == []


def test_a_damaged_table_is_named(tmp_path):
    path = tmp_path / "pools.tsv"
    path.write_text("target\tpool\tdonors\tseed\ngl\tall\tes+pt\tx\n")
    with pytest.raises(UserError, match=r"pools\.tsv, line 2"):
        read_pools(path)
