"""Examples of what hosts are busy with, for the description of the interface; each is a message as it really is."""

from typing import Any, Final

METRICS: Final[dict[str, Any]] = {
    "node": "hub-4f1c2a9b",
    "sample": {
        "node": "hub-4f1c2a9b",
        "at": "2035-01-01T12:00:00Z",
        "uptimeSeconds": 86400,
        "clockSynchronised": True,
        "cpu": {"percent": 12.5, "cores": [10.0, 15.0], "load": [0.31, 0.22, 0.18]},
        "memory": {
            "totalBytes": 4127195136,
            "usedBytes": 1073741824,
            "availableBytes": 3053453312,
            "swapTotalBytes": 0,
            "swapUsedBytes": 0,
        },
        "disks": [
            {
                "mount": "/",
                "device": "/dev/mmcblk0p2",
                "fileSystem": "ext4",
                "totalBytes": 31268536320,
                "usedBytes": 9380560896,
                "freeBytes": 20552871936,
                "percent": 31.3,
                "readBytesPerSecond": 0.0,
                "writtenBytesPerSecond": 81920.0,
            }
        ],
        "networks": [
            {
                "name": "eth0",
                "isUp": True,
                "receivedBytes": 1048576000,
                "sentBytes": 524288000,
                "receivedBytesPerSecond": 12800.0,
                "sentBytesPerSecond": 9600.0,
                "errors": 0,
                "dropped": 0,
            }
        ],
        "temperatures": [{"sensor": "cpu_thermal", "celsius": 48.3}],
        "parts": [{"unit": "bridge", "processes": 1, "percent": 2.4, "memoryBytes": 54525952}],
    },
    "problem": None,
}

HISTORY: Final[dict[str, Any]] = {
    "node": "hub-4f1c2a9b",
    "beginsAt": "2035-01-01T09:00:00Z",
    "stepSeconds": 10,
    "times": ["2035-01-01T12:00:00Z", "2035-01-01T12:00:10Z"],
    "series": {"cpuPercent": {"mean": [12.5, 13.1], "max": [14.0, 20.2]}},
}
