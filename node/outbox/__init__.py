"""The durable outbox: what a process has to say is kept until the edge server says that it is stored.

`queue` decides (no clock, no file), `store` keeps rows in SQLite, `outbox` joins the two. The promises are numbered in
docs/outbox.md.
"""
