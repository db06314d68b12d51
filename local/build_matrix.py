#!/usr/bin/env python3
"""Build the transfer matrix of one task from its results (stage 6)."""

from espnet2_cltm.bin.build_matrix import main

main()
