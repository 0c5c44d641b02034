"""The larger tiers above the edge server. Nothing is here yet but this name: every tier works without the one above."""
