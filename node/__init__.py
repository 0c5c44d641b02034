"""What each tier's process needs, and no tier owns: link and outbox, broker, config, clock, identity, doctor."""
