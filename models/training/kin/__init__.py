"""How the shipped family kin and its understanding of questions were made."""
