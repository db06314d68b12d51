#!/usr/bin/env python3
"""Stage 3: draw training subsets and write the plan of all runs."""

from espnet2_cltm.bin.make_plan import main

main()
