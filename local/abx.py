#!/usr/bin/env python3
"""Measure how well features tell phones or languages apart (ABX)."""

from espnet2_cltm.bin.abx import main

main()
