"""Serves one sensor with the Viam Python SDK's own server: native gRPC over cleartext HTTP/2, no authentication.

Prints one line of JSON with its port, and ends when its standard input does.
"""

import asyncio
import json
import socket
import sys
from typing import Any, Mapping, Optional

from viam import logging
from viam.components.sensor import Sensor
from viam.rpc.server import Server
from viam.utils import SensorReading

READINGS = {"celsius": 21.5, "place": "kitchen", "open": True, "levels": [1, 2, 3]}


class Thermometer(Sensor):
    async def get_readings(
        self, *, extra: Optional[Mapping[str, Any]] = None, timeout: Optional[float] = None, **kwargs: Any
    ) -> Mapping[str, SensorReading]:
        return {**READINGS, "extra": dict(extra or {})}


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server([Thermometer("thermometer")])
    # Server.serve takes no socket and tells no port, so that a free port takes its inner server.
    await server._server.start(sock=listener)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server._server.close()
    await server._server.wait_closed()
    await server.close()


if __name__ == "__main__":
    logging.silence()
    asyncio.run(main())
