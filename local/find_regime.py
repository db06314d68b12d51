#!/usr/bin/env python3
"""Find out how large N must be, from learning curves (stage 6)."""

from espnet2_cltm.bin.find_regime import main

main()
