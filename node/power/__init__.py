"""The mains and what stands in for them: what a UPS says, and what is done about it. See docs/closet.md."""
