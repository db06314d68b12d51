#!/usr/bin/env python3
"""The short name of label_inference for gender identification."""

from espnet2_cltm.bin.label_inference import Speech2Label, get_parser, main

__all__ = ["Speech2Label", "get_parser", "main"]

if __name__ == "__main__":
    main()
