#!/usr/bin/env python3
"""Measure how often captions and pictures find each other."""

from espnet2_cltm.bin.retrieval import main

main()
