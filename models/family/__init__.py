"""A family: one set of weights on several tiers. Manifest, split, quantise, verify, pull. See docs/engine.md."""
