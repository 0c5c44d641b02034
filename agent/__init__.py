"""The device: it reads cameras, sees how full each road is, and says so. One process per device."""

import os

# One looking thread is what a device gives. numpy's algebra would start one for each core, which wait for one another
# six times as long as they work; it reads this once, when it is first loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
