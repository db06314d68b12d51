#!/usr/bin/env python3
"""Stage 2: decode every recording once (see espnet2_cltm.bin.dump_audio)."""

from espnet2_cltm.bin.dump_audio import main

# The decoding processes import this file again, so it must do nothing then.
if __name__ == "__main__":
    main()
