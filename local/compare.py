#!/usr/bin/env python3
"""Compare two transfer matrices, one's own or published."""

from espnet2_cltm.bin.compare import main

main()
