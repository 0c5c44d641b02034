"""What time it is, and who says so: NTP, a GPS receiver, the edge server, or nobody. See docs/closet.md."""
