#!/usr/bin/env python3
"""Write a corpus of spoken captions as a data directory with image.scp."""

from espnet2_cltm.bin.prepare_captions import main

main()
