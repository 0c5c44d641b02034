"""Serve a member: a scheduler, and an OpenAI-compatible door in front of it."""
