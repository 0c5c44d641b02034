"""Which devices there are and how they are, told from births, wills and silence."""
