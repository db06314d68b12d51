#!/usr/bin/env python3
"""Stage 5: gather the scores of all runs in results.tsv."""

from espnet2_cltm.bin.score import main

main()
