from __future__ import annotations

import os

from agent.errors import CameraForbidden, CameraMissing
from node.doctor.check import Context


class CameraAccess:
    title = "The cameras may be opened"
    error = CameraForbidden

    def run(self, context: Context) -> str:
        cameras = context.settings().settings.agent.cameras
        local = [one.source for one in cameras if one.source.startswith("/dev/")]
        for device in local:
            if not os.path.exists(device):
                raise CameraMissing(source=device)
            if not os.access(device, os.R_OK | os.W_OK):
                raise CameraForbidden(source=device)
        return f"{len(cameras)} in the settings; {len(local)} of them devices of this machine, which may be opened."
