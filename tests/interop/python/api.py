"""Serves every component and service of the Viam API, with no handlers, and gRPC reflection, as the Viam Python SDK's server has it.

Prints one line of JSON with its port, and ends when its standard input does.
"""

import asyncio
import importlib
import json
import pkgutil
import socket
import sys

import viam.gen.component
import viam.gen.service
from grpclib.reflection.service import ServerReflection
from grpclib.server import Server


def services_of_api() -> list:
    found = []
    for package in (viam.gen.component, viam.gen.service):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if module.name.endswith("_pb2"):
                importlib.import_module(module.name)
                grpc = importlib.import_module(module.name.replace("_pb2", "_grpc"))
                found += [base() for name, base in vars(grpc).items() if name.startswith("Unimplemented")]
    return found


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(ServerReflection.extend(services_of_api()))
    await server.start(sock=listener)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
