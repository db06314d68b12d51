"""Tables that come with the package, each directory with its source and licence."""
