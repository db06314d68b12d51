"""The page's part on where transfer comes from."""

from espnet2_cltm.matrix.origin import RELATION_NAMES, Origin, origin_sentences
from espnet2_cltm.matrix.relatedness import OF_CELLS
from espnet2_cltm.report.heatmap_contents import MINUS
from espnet2_cltm.report.page.contents import OriginPart

COLUMNS = ("relation", "of", "cells", "r", "p", "q")


def origin_part(origin: Origin) -> OriginPart:
    """Write sentences and the table of all tests."""
    tests = [
        (
            RELATION_NAMES[test.relation],
            "cells" if test.statistic == OF_CELLS else "pair effects",
            str(test.n_cells),
            f"{test.r:+.3f}".replace("-", MINUS) if test.r is not None else test.reason,
            f"{test.p:.2g}" if test.p is not None else "",
            f"{test.q:.2g}" if test.q is not None else "",
        )
        for test in origin.relatedness
    ]
    return OriginPart(origin_sentences(origin), COLUMNS, tests)
