from __future__ import annotations

import os

from node.doctor.check import Context
from node.errors import CameraDenied


class CameraAccess:
    title = "The cameras may be opened"
    error = CameraDenied

    def run(self, context: Context) -> str:
        cameras = context.settings().settings.agent.cameras
        local = [one.source for one in cameras if one.source.startswith("/dev/")]
        for device in local:
            if not os.path.exists(device):
                raise CameraDenied(device=device, detail="there is no such device; is it plugged in?")
            if not os.access(device, os.R_OK | os.W_OK):
                raise CameraDenied(device=device, detail="permission denied")
        return f"{len(local)} of {len(cameras)} cameras are devices of this machine; all of those may be opened."
