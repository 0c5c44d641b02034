"""Settings: a flag beats the environment, the environment beats kinflow.toml, and kinflow.toml beats the default."""
