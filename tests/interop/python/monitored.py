"""Prints the monitored methods of every component that the SDK has the .proto of, one a line."""

import importlib
import pkgutil

import viam.gen.component as components
from viam.gen.common.v1 import common_pb2

for module in pkgutil.walk_packages(components.__path__, components.__name__ + "."):
    if not module.name.endswith("_pb2"):
        continue
    file = importlib.import_module(module.name).DESCRIPTOR
    for service in file.services_by_name.values():
        for method in service.methods:
            if method.GetOptions().Extensions[common_pb2.safety_heartbeat_monitored]:
                print(f"/{service.full_name}/{method.name}")
