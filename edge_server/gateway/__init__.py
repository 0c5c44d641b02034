"""The door for people and programs: HTTP API, server-sent events, metrics, health, and the dashboard's files.

Nothing here decides anything about traffic. It shows what ingest has committed and writes down what a person says.
"""
