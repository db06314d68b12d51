#!/usr/bin/env python3
"""Stage 4: fine-tune every run of a plan and predict on its test languages."""

from espnet2_cltm.bin.run_plan import main

main()
