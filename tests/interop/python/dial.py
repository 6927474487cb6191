"""Dials a machine with the Viam Python SDK, makes every kind of call to its probe service, and says what it saw.

Prints one line of JSON and exits with 0 if everything was as it should be, else with 1.
"""

import argparse
import asyncio
import json
import sys

from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.events import SendRequest, listen
from viam import logging
from viam.rpc.dial import DialOptions, dial

from viam_dial.probe.v1.probe_grpc import ProbeServiceStub
from viam_dial.probe.v1.probe_pb2 import DownloadRequest, FailRequest, InspectRequest, Payload

# The SDK falls back from WebRTC to a direct connection without a word; only the machine knows how a call came.
ARRIVES_AS = {"webrtc": "webrtc", "direct": "grpc"}
CALL_TIMEOUT_S = 10
CHUNK = bytes(range(256)) * 256


def expect(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise AssertionError(f"{what}: {str(actual)[:200]!r} instead of {str(expected)[:200]!r}")


def options_for(path: str, api_key: str, api_key_id: str) -> DialOptions:
    options = DialOptions.with_api_key(api_key, api_key_id)
    options.initial_connection_attempts = 1
    if path == "webrtc":
        options.allow_insecure_with_creds_downgrade = True
    else:
        options.disable_webrtc = True
    return options


def carry_token(channel: Channel, token: str) -> None:
    async def add(event: SendRequest) -> None:
        if event.method_name.endswith("/Exchange"):
            event.metadata["x-witness"] = token

    listen(channel, SendRequest, add)


async def unary(probe: ProbeServiceStub) -> None:
    for size in (0, 1, 1 << 20):
        data = (CHUNK * 16)[:size]
        answer = await probe.Echo(Payload(data=data), timeout=CALL_TIMEOUT_S)
        expect(f"unary of {size} bytes", answer.data, data)


async def server_streaming(probe: ProbeServiceStub) -> None:
    received = await probe.Download(DownloadRequest(size=100_000, count=20), timeout=CALL_TIMEOUT_S)
    expect("server streaming", [len(payload.data) for payload in received], [100_000] * 20)


async def client_streaming(probe: ProbeServiceStub) -> None:
    summary = await probe.Upload([Payload(data=CHUNK)] * 20, timeout=CALL_TIMEOUT_S)
    expect("client streaming", (summary.count, summary.bytes), (20, 20 * len(CHUNK)))


async def bidi_streaming(probe: ProbeServiceStub) -> None:
    async with probe.Exchange.open(timeout=CALL_TIMEOUT_S) as stream:
        for number in range(10):
            await stream.send_message(Payload(data=bytes([number])), end=number == 9)
            answer = await stream.recv_message()
            expect(f"bidi answer {number}", answer and answer.data, bytes([number]))
        expect("bidi end", await stream.recv_message(), None)


async def failing(probe: ProbeServiceStub) -> None:
    request = FailRequest(code=Status.NOT_FOUND.value, message="no such thing: 100% gone")
    try:
        await probe.FailUnary(request, timeout=CALL_TIMEOUT_S)
    except GRPCError as error:
        expect("unary status", (error.status, error.message), (Status.NOT_FOUND, request.message))
    else:
        raise AssertionError("unary status: the call did not fail")

    request.after = 3
    async with probe.Fail.open(timeout=CALL_TIMEOUT_S) as stream:
        await stream.send_message(request, end=True)
        for number in range(request.after):
            expect(f"payload {number} before the failure", len((await stream.recv_message()).data), 1)
        expect("end of the stream", await stream.recv_message(), None)
        try:
            await stream.recv_trailing_metadata()
        except GRPCError as error:
            expect("streaming status", (error.status, error.message), (Status.NOT_FOUND, request.message))
        else:
            raise AssertionError("streaming status: the call did not fail")
        trailers = stream.trailing_metadata
        expect("trailers", (trailers["x-trail"], trailers["x-trail-bin"]), ("t1", bytes([9, 8, 7])))


async def main(arguments: argparse.Namespace) -> dict:
    options = options_for(arguments.path, arguments.api_key, arguments.api_key_id)
    async with await dial(arguments.address, options) as connection:
        carry_token(connection.channel, arguments.token)
        probe = ProbeServiceStub(connection.channel)
        inspected = await probe.Inspect(InspectRequest(), timeout=CALL_TIMEOUT_S)
        expect("path", inspected.path, ARRIVES_AS[arguments.path])
        calls = [unary, server_streaming, client_streaming, bidi_streaming, failing]
        for call in calls:
            await call(probe)
        inspected = await probe.Inspect(InspectRequest(), timeout=CALL_TIMEOUT_S)
        expect("path after the calls", inspected.path, ARRIVES_AS[arguments.path])
        return {"ok": True, "path": inspected.path, "calls": [call.__name__ for call in calls]}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, help="host:port of the machine")
    parser.add_argument("--api-key", required=True)
    parser.add_argument("--api-key-id", required=True)
    parser.add_argument("--path", required=True, choices=list(ARRIVES_AS))
    parser.add_argument("--token", required=True, help="metadata x-witness of the Exchange call")
    return parser.parse_args()


if __name__ == "__main__":
    logging.silence()
    try:
        print(json.dumps(asyncio.run(main(parse()))))
    except Exception as error:  # noqa: BLE001: whatever went wrong is the result
        print(json.dumps({"ok": False, "error": f"{type(error).__name__}: {error}"}))
        sys.exit(1)
