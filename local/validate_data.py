#!/usr/bin/env python3
"""Check data directories; every problem is listed as file:line."""

from espnet2_cltm.bin.validate_data import main

main()
