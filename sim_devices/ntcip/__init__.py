"""A simulated NTCIP 1202 controller: dual-ring logic, its own conflict monitor, and an SNMPv3 agent that misbehaves."""
