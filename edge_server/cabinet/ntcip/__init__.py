"""NTCIP 1202 (actuated signal controllers) over SNMP: what is read, what is written, and when."""
