"""Who belongs to this site: the edge server's authority, the desk where devices join, and what an operator does."""
