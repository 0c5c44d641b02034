"""Who may do what at the edge server: roles, what each route needs, people's accounts, sessions and program tokens."""
