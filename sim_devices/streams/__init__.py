"""Pictures on their way to whoever asks for them."""
