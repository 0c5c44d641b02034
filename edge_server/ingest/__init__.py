"""From the broker to the store: every message once, every gap known, acknowledged after the commit."""
