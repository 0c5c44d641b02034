"""The assistant on the edge server: what it can be told of, who may change what, and its routes."""
