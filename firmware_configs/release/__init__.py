"""The maintainers' side of updates: keys, signatures, and a repository that devices trust."""
