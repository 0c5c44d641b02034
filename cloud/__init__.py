"""The larger tiers above the edge servers. Every tier works without the one above: nothing here may be waited for."""
