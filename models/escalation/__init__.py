"""One answer by two tiers: the whole question, hidden states, or drafts that the upper one checks."""
