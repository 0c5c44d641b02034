"""Sound: where it comes from and the few seconds of it that are ever held. Off by default; none is stored or sent."""
