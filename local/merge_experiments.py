#!/usr/bin/env python3
"""Merge experiments that were made in different directories into one."""

from espnet2_cltm.bin.merge_experiments import main

main()
