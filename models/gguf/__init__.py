"""GGUF files: a strict reader of what stands before the weights, and a writer. Nothing here runs what a file holds."""
