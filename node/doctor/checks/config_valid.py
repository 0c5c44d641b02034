from __future__ import annotations

from node.config.load import load
from node.doctor.check import Context
from node.errors import ConfigValueInvalid


class ConfigValid:
    title = "The settings can be used"
    error = ConfigValueInvalid

    def run(self, context: Context) -> str:
        return f"{len(load(context.home, context.environment).origins)} settings are set, the others are the defaults."
