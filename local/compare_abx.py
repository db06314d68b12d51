#!/usr/bin/env python3
"""Compare the ABX errors of two or more kinds of features, speaker by speaker."""

from espnet2_cltm.bin.compare_abx import main

main()
