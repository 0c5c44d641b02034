"""JSON profiles of SAE J2735 messages (2020-07): SRM in, SSM and SPaT out, with the standard's names and meanings."""
