#!/usr/bin/env python3
"""Stage 1: prepare each language of a corpus as Kaldi data directories."""

from espnet2_cltm.bin.prepare_data import main

main()
