"""What comes with the package, each directory with its source and licence."""
