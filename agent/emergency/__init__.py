"""Is there an emergency vehicle that wants through? Beacons, siren, class and declaration, and what they add up to."""
