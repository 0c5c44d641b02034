"""Prompts computed on one machine, answers said on another: keys and values stream from a prefill worker while it
computes, over sealed frames (protocol/kv_frames.py)."""
