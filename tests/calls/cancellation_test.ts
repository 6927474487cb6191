import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { type CallOptions, type Client, Code, createClient } from "@connectrpc/connect";
import { startMachine } from "../../lib/testing/mod.ts";
import { dial, dialDirect, type DialOptions } from "../../mod.ts";
import { PayloadSchema, ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";
import { Pushed, rejection } from "../transport/suite.ts";
import { startRawMachine } from "../webrtc/raw_answerer.ts";
import { answer } from "../webrtc/raw_frames.ts";
import { lanes, until } from "./lanes.ts";
import { startResetCounter } from "./reset_counter.ts";

type Probe = Client<typeof ProbeService>;
type Payload = { data: Uint8Array };

async function read(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of messages);
}

/** A call of each kind that does not end by itself. */
const hanging: readonly [kind: string, call: (probe: Probe, options: CallOptions) => Promise<unknown>][] = [
  ["unary", (probe, options) => probe.hangUnary({}, options)],
  ["server streaming", (probe, options) => read(probe.hang({}, options))],
  ["client streaming", (probe, options) => probe.upload(new Pushed<Payload>(), options)],
  ["bidirectional", (probe, options) => read(probe.exchange(new Pushed<Payload>(), options))],
];

/** True if its handler knows: by its signal, or by its input, which broke off. None of these ends otherwise. */
async function isOver(probe: Probe, token: string): Promise<boolean> {
  const { cancelled, finished } = await probe.witness({ token });
  return cancelled || finished;
}

for (const { name, options } of lanes) {
  test(`protocol §10, 2: ${name}: cancelling a call of any kind, by signal or deadline, reaches its handler`, async () => {
    await using machine = await startMachine({ auth: "none" });
    await using channel = await dial(machine.address, options);
    const probe = createClient(ProbeService, channel);
    for (const [kind, call] of hanging) {
      for (const way of ["signal", "deadline"] as const) {
        const token = crypto.randomUUID();
        const headers = { "x-witness": token };
        const controller = new AbortController();
        const ended = rejection(() =>
          call(probe, { headers, ...(way === "signal" ? { signal: controller.signal } : { timeoutMs: 400 }) })
        );
        await until(async () => (await probe.witness({ token })).started);
        const cancelled = performance.now();
        controller.abort();
        assert.equal((await ended).code, way === "signal" ? Code.Canceled : Code.DeadlineExceeded, kind);
        await until(() => isOver(probe, token));
        assert.ok(performance.now() - cancelled < 5_000, `${kind}, ${way}`);
      }
    }
  });
}

test("WebRTC: a cancelled call sends one reset, whatever is done to it; a completed call sends none", async () => {
  const payload = toBinary(PayloadSchema, create(PayloadSchema, { data: Uint8Array.of(1) }));
  const completed = (path: string) => path.endsWith("/Echo") || path.endsWith("/Fail");
  const paths = new Map<number, string>();
  const resetAt = new Map<number, number[]>();
  await using machine = await startRawMachine(({ stream, type }, channel) => {
    const id = Number(stream!.id);
    if (type.case === "headers") paths.set(id, type.value.method);
    if (type.case === "rstStream") {
      resetAt.set(id, [...resetAt.get(id) ?? [], performance.now()]);
    }
    const path = paths.get(id) ?? "";
    if (type.case === "headers" && path.endsWith("/Hang")) {
      void channel.send(answer.headers(id));
      void channel.send(answer.packet(id, payload));
    }
    if (type.case === "message" && completed(path)) {
      void channel.send(answer.headers(id));
      if (path.endsWith("/Echo")) void channel.send(answer.packet(id, payload));
      void channel.send(path.endsWith("/Echo") ? answer.trailers(id) : answer.trailers(id, Code.Aborted));
    }
  });
  await using channel = await dial(machine.address, { insecure: true });
  const probe = createClient(ProbeService, channel);
  const idsOf = (method: string) =>
    [...paths].filter(([, path]) => path.endsWith(`/${method}`)).map(([id]) => id);
  const resetsOf = (id: number) => resetAt.get(id)?.length ?? 0;

  for (const [kind, call] of hanging) {
    const controller = new AbortController();
    const before = paths.size;
    const ended = rejection(() => call(probe, { signal: controller.signal, timeoutMs: 60_000 }));
    await until(() => paths.size > before);
    controller.abort();
    controller.abort();
    assert.equal((await ended).code, Code.Canceled, kind);
    const id = [...paths.keys()].at(-1)!;
    await until(() => resetsOf(id) > 0);
  }
  assert.equal((await rejection(() => probe.hangUnary({}, { timeoutMs: 100 }))).code, Code.DeadlineExceeded);

  // A reader that leaves.
  const input = async function* () {
    yield {};
  };
  const { message } = await channel.stream(
    ProbeService.method.hang,
    undefined,
    undefined,
    undefined,
    input(),
  );
  let left = 0;
  for await (const _ of message) {
    left = performance.now();
    break;
  }
  const id = idsOf("Hang").at(-1)!;
  await until(() => resetsOf(id) > 0);
  const took = resetAt.get(id)![0]! - left;
  console.log(`a reader that breaks out resets after ${took.toFixed(1)} ms`);
  assert.ok(took < 1_000, `${took} ms`);

  const late = new AbortController();
  for (let round = 0; round < 3; round++) await probe.echo({}, { signal: late.signal, timeoutMs: 60_000 });
  assert.equal((await rejection(() => read(probe.fail({}, { signal: late.signal })))).code, Code.Aborted);
  late.abort();
  // One call more, so that whatever was to come before it has come.
  await probe.echo({});

  for (const [id, path] of paths) {
    assert.equal(resetsOf(id), completed(path) ? 0 : 1, `stream ${id}, ${path}`);
  }
  assert.ok(paths.size >= 10);
});

test("node:http2: a cancelled call sends one reset, a completed call sends none", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using counter = await startResetCounter(machine.address);
  const options: DialOptions = { insecure: true, protocol: "grpc" };
  await using channel = await dialDirect(counter.address, options);
  const probe = createClient(ProbeService, channel);
  const late = new AbortController();
  const before = counter.resets;
  await probe.echo({ data: new Uint8Array(100_000) }, { signal: late.signal });
  await read(probe.download({ size: 70_000, count: 3 }, { signal: late.signal }));
  await probe.upload(
    (async function* () {
      yield { data: new Uint8Array(70_000) };
    })(),
    { signal: late.signal },
  );
  late.abort();
  await probe.echo({});
  assert.equal(counter.resets, before, "completed calls");
  assert.ok(counter.calls >= 4, `${counter.calls} calls`);
  let expected = before;
  for (const [kind, call] of hanging) {
    const token = crypto.randomUUID();
    const controller = new AbortController();
    const ended = rejection(() =>
      call(probe, { signal: controller.signal, headers: { "x-witness": token } })
    );
    await until(async () => (await probe.witness({ token })).started);
    controller.abort();
    assert.equal((await ended).code, Code.Canceled);
    await until(() => isOver(probe, token));
    await probe.echo({});
    assert.equal(counter.resets, ++expected, kind);
  }
});
