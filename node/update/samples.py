"""Messages as an earlier version wrote them: a new version must still read them. Lines are added, never changed."""

_ENVELOPE = (
    '"v": 1, "id": "0199c82c-c3e8-7051-a329-665966ceab36", "source": "agent-north", "boot": "9f2c61d07be34a58", '
    '"seq": 18, "at_ms": 1760000001000, "mono_ms": 85000'
)

SAMPLES: tuple[tuple[str, str], ...] = (
    (
        "kinflow/1/agent-north/presence",
        f'{{"kind": "birth", {_ENVELOPE}, "role": "agent", "software": "kinflow 0.1.0", "cameras": '
        '[{"camera": "cam-1", "approach": "north", "width_px": 640, "height_px": 360, "calibrated": true}]}',
    ),
    (
        "kinflow/1/agent-north/alarm",
        f'{{"kind": "alarm", {_ENVELOPE}, "alarm": "camera-stalled", "subject": "cam-1", "severity": "warning", '
        '"active": true, "text": "no frame for 10 s", "code": "KF57"}',
    ),
    (
        "kinflow/1/agent-north/observation/cam-1",
        f'{{"kind": "observation", {_ENVELOPE}, "camera": "cam-1", "approach": "north", "captured_ms": 1760000000900, '
        '"captured_mono_ms": 84900, "frame": 5210, "sensor": "camera", "status": "ok", "calibrated": true, '
        '"occupancy": {"value": 0.12, "low": 0.09, "high": 0.16}, "index": {"value": 0.34, "low": 0.26, "high": 0.46}, '
        '"congestion": "slow", "quality": {"score": 0.93, "problems": []}, "queue_m": null, "speed_mps": null, '
        '"count": null, "lanes": [], "emergency": "absent"}',
    ),
    (
        "kinflow/1/agent-north/observation/cam-1",
        f'{{"kind": "observation", {_ENVELOPE}, "camera": "cam-1", "approach": "north", "captured_ms": 1760000000900, '
        '"captured_mono_ms": 84900, "frame": 5211, "sensor": "camera", "status": "ok", "calibrated": true, '
        '"occupancy": {"value": 0.12, "low": 0.09, "high": 0.16}, "index": {"value": 0.34, "low": 0.26, "high": 0.46}, '
        '"congestion": "slow", "quality": {"score": 0.93, "problems": []}, "emergency": "requested", "emergencies": '
        '[{"kind": "ambulance", "state": "requested", "probability": 0.97, "evidence": ["class", "beacons"], '
        '"direction": "towards", "since_ms": 1760000000100}], "emergency_senses": ["class", "beacons"]}',
    ),
    (
        "kinflow/1/agent-north/health",
        f'{{"kind": "health", {_ENVELOPE}, "uptime_s": 3600.5, "rss_mb": 88.2, "cpu_percent": 41.0, '
        '"disk_free_mb": 21340.0, "cameras": [{"camera": "cam-1", "state": "running", "frames_per_s": 24.8}]}',
    ),
    (
        "kinflow/1/agent-north/config-command/relearn-road",
        f'{{"kind": "config-command", {_ENVELOPE}, "command": "0199c82c-d388-72a3-9289-79194f5253a0", '
        '"device": "agent-north", "name": "relearn-road", "status": "init", "arguments": {"camera": "cam-1"}}',
    ),
)
