"""What Python starts with where ``cltm python`` has put this directory first."""
