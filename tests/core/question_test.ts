import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { ClientStreams } from "../../lib/core/channel/client_streams.ts";
import {
  decodeRequest,
  decodeResponse,
  encodeReset,
  encodeResponseHeaders,
  encodeTrailers,
} from "../../lib/core/channel/packet.ts";
import { QUESTION_METHOD } from "../../lib/core/channel/question.ts";
import { ServerStreams } from "../../lib/core/channel/server_streams.ts";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { test } from "../harness.ts";

/** A client and a machine, and what each was told. */
function pair() {
  const told = { client: [] as number[], machine: [] as number[], opened: [] as string[] };
  const client = new ClientStreams({
    maxMessageBytes: 1_000,
    answered: (question) => told.client.push(question),
  });
  const machine = new ServerStreams({
    maxMessageBytes: 1_000,
    answered: (question) => told.machine.push(question),
    open({ path }) {
      told.opened.push(path);
      return { message() {}, halfClosed() {}, aborted() {} };
    },
  });
  function deliver(): void {
    while (!client.queue.empty || !machine.queue.empty) {
      for (let frame = client.queue.next(); frame !== undefined; frame = client.queue.next()) {
        machine.receive(frame);
      }
      for (let frame = machine.queue.next(); frame !== undefined; frame = machine.queue.next()) {
        client.receive(frame);
      }
    }
  }
  return { client, machine, told, deliver };
}

test(
  "ClientStreams.ask(): a machine answers with headers and with trailers, and no stream stays open",
  () => {
    const { client, machine, told, deliver } = pair();
    const question = client.ask();
    deliver();
    assert.deepEqual(told.client, [question, question]);
    assert.deepEqual(told.opened, [QUESTION_METHOD]);
    assert.equal(client.size + machine.size, 0);
    assert.deepEqual(client.dropped, { malformed: 0, unknownStream: 0 });
  },
  { pure: true },
);

test("ClientStreams.ask() sends less than 1 % of the bytes between two questions", () => {
  const client = new ClientStreams({ maxMessageBytes: 1_000 });
  for (let count = 0; count < 20_000; count++) {
    client.ask();
    const bytes = client.queue.next()!.length + client.queue.next()!.length;
    assert.ok(bytes <= 64, `${bytes} bytes`);
  }
}, { pure: true });

test("ClientStreams.ask(): an answer of any machine is one, and a second ending is not", () => {
  const answers: number[] = [];
  const client = new ClientStreams({ maxMessageBytes: 1_000, answered: (id) => answers.push(id) });
  const question = client.ask();
  const unimplemented = new ConnectError("Unimplemented", Code.Unimplemented);
  client.receive(encodeResponseHeaders(question, new Metadata()));
  client.receive(encodeTrailers(question, unimplemented, new Metadata()));
  client.receive(encodeTrailers(question, undefined, new Metadata()));
  assert.deepEqual(answers, [question, question]);
  assert.equal(client.dropped.unknownStream, 1);
}, { pure: true });

test("ClientStreams.ask() sends no reset to a machine that does not have the method", () => {
  const client = new ClientStreams({ maxMessageBytes: 1_000 });
  const kinds = () => {
    const frames: string[] = [];
    for (let frame = client.queue.next(); frame !== undefined; frame = client.queue.next()) {
      frames.push(decodeRequest(frame).kind);
    }
    return frames;
  };
  const question = client.ask();
  assert.deepEqual(kinds(), ["headers", "reset"]);
  client.receive(encodeTrailers(question, new ConnectError("", Code.Unimplemented), new Metadata()));
  const other = client.ask();
  assert.deepEqual(kinds(), ["headers"]);
  client.receive(encodeTrailers(other, new ConnectError("", Code.Canceled), new Metadata()));
  client.ask();
  assert.deepEqual(kinds(), ["headers", "reset"]);
}, { pure: true });

test("ServerStreams.ask(): a client of this library answers with a reset, beside open calls", () => {
  const { client, machine, told, deliver } = pair();
  const request = { path: "/a.B/C", metadata: new Metadata(), timeoutMs: undefined };
  client.open(request, { headers() {}, message() {}, end: () => assert.fail("the call ended") });
  const questions = [machine.ask(), machine.ask()];
  deliver();
  assert.deepEqual(told.machine, questions);
  assert.deepEqual([client.size, machine.size], [1, 1]);
  assert.deepEqual([client.dropped.unknownStream, machine.dropped.unknownStream], [0, 0]);
}, { pure: true });

test(
  "ServerStreams.ask() goes ahead of messages, and its frames are read as other headers and resets are",
  () => {
    const { machine } = pair();
    const question = machine.ask();
    const frame = decodeResponse(machine.queue.next()!);
    assert.deepEqual([frame.kind, frame.stream], ["headers", question]);
    assert.deepEqual(decodeRequest(encodeReset(question)), { kind: "reset", stream: question });
  },
  { pure: true },
);
