"""Bundles that this edge server hands to its own devices, so that none of them compiles or needs the Internet."""
