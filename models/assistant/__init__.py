"""The operator's assistant: tools, understanding, notes, escalation. The same on a phone, a Pi and the edge."""
