"""The assistant on a device: what it can be told of, and its page. Nothing is loaded before somebody asks."""
