"""Two edge servers for one site: each hears both brokers and stores everything, and one steers (docs/pair.md)."""
