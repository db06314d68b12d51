#!/usr/bin/env python3
"""Rank donor languages for a target, measured or predicted."""

from espnet2_cltm.bin.recommend import main

main()
