"""The engine: weights in, logits out, with every handle that the tiers need in between. See docs/engine.md."""
