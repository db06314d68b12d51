#!/usr/bin/env python3
"""Measure distances between languages by their recordings and phones."""

from espnet2_cltm.bin.measure_distances import main

if __name__ == "__main__":  # the processes that listen import this file again
    main()
