"""What crosses a wire between Kinflow's tiers: ids, messages, topics, codecs, units and the site file.

Nothing here does I/O and nothing here knows which tier it runs on.
"""

PROTOCOL_VERSION = 1
