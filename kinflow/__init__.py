"""The one command. It mounts what each tier offers and holds no logic of its own."""
