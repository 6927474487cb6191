/** Faults of the official SDKs against a real machine, case by case, on every way that calls go here. */

import assert from "node:assert/strict";
import { Code, createClient } from "@connectrpc/connect";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { startMachine } from "../../lib/testing/mod.ts";
import { dial, type ViamChannel } from "../../mod.ts";
import { ErrorDetailSchema, ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { runtime, test, type TestOptions } from "../harness.ts";
import { rejection } from "../transport/suite.ts";
import { lanes, until } from "./lanes.ts";

for (const { name, options } of lanes) {
  const check = (
    title: string,
    run: (channel: ViamChannel) => Promise<void>,
    testOptions: TestOptions = {},
  ) =>
    test(`${name}: ${title}`, async () => {
      await using machine = await startMachine({ auth: "none" });
      await using channel = await dial(machine.address, options);
      await run(channel);
    }, testOptions);

  for (const [after, when] of [[2, "after two messages of a stream"], [0, "before the first"]] as const) {
    check(`protocol §10, 3: an error ${when} is not swallowed`, async (channel) => {
      const probe = createClient(ProbeService, channel);
      let messages = 0;
      const error = await rejection(async () => {
        for await (const _ of probe.fail({ code: Code.NotFound, message: "gone", after, detail: "d" })) {
          messages++;
        }
      });
      assert.deepEqual([messages, error.code, error.rawMessage], [after, Code.NotFound, "gone"]);
      assert.equal(error.findDetails(ErrorDetailSchema)[0]?.text, "d");
    });
  }

  check("an unknown method is Unimplemented, of every kind", async (channel) => {
    const { echo, download, upload, exchange } = ProbeService.method;
    const none = (async function* () {})();
    for (const method of [echo, download, upload, exchange]) {
      const error = await rejection(async () => {
        if (method.methodKind === "unary") {
          await channel.unary({ ...method, name: "Nothing" }, undefined, undefined, undefined, {});
        } else {
          const { message } = await channel.stream(
            { ...method, name: "Nothing" } as typeof exchange,
            undefined,
            undefined,
            undefined,
            none,
          );
          for await (const _ of message);
        }
      });
      assert.equal(Code[error.code], "Unimplemented", method.methodKind);
    }
  });

  check("the text of an error arrives as it was written", async (channel) => {
    const probe = createClient(ProbeService, channel);
    for (const text of ["nö ü 😀", "100 %", "a%20b", "one\ntwo\r\nthree", "%", "%zz", "  spaces  ", ""]) {
      const error = await rejection(() => probe.failUnary({ code: Code.Aborted, message: text }));
      assert.deepEqual([error.code, error.rawMessage], [Code.Aborted, text]);
    }
    assert.equal((await probe.echo({ data: Uint8Array.of(1) })).data.length, 1);
  });

  check("repeated and binary metadata goes both ways", async (channel) => {
    const probe = createClient(ProbeService, channel);
    const sent = new Metadata([["x-many", "a"], ["x-many", "b"], ["x-raw-bin", "AAH/"], ["x-raw-bin", "gA"]]);
    const { metadata } = await probe.inspect({}, { headers: sent });
    assert.deepEqual(metadata["x-many"]?.values.join().split(/, ?/), ["a", "b"]);
    assert.deepEqual(
      metadata["x-raw-bin"]?.values.join().split(/, ?/).map((value) => value.replace(/=+$/, "")),
      ["AAH/", "gA"],
    );
    let headers = new Headers(), trailers = new Headers();
    const error = await rejection(() =>
      probe.failUnary({ code: Code.Aborted }, {
        onHeader: (value) => headers = value,
        onTrailer: (value) => trailers = value,
      })
    );
    assert.equal(error.metadata.get("x-trail"), "t1");
    assert.equal(error.metadata.get("x-trail-bin")?.replace(/=+$/, ""), "CQgH");
    for await (
      const _ of probe.fail({ after: 1 }, {
        onHeader: (value) => headers = value,
        onTrailer: (value) => trailers = value,
      })
    );
    assert.deepEqual(headers.get("x-head")?.split(/, ?/), ["h1", "h2"]);
    assert.equal(headers.get("x-head-bin")?.replace(/=+$/, ""), "AAECAw");
    assert.equal(trailers.get("x-trail"), "t1");
    assert.equal(trailers.get("x-trail-bin")?.replace(/=+$/, ""), "CQgH");
  });

  check(
    "300 parallel streams are cancelled at once, and the channel is fully usable after",
    async (channel) => {
      const probe = createClient(ProbeService, channel);
      const cancel = new AbortController();
      const readers = Array.from(
        { length: 300 },
        () => probe.hang({}, { signal: cancel.signal })[Symbol.asyncIterator](),
      );
      await Promise.all(readers.map((reader) => reader.next()));
      cancel.abort();
      for (const reader of readers) {
        assert.equal((await rejection(() => reader.next())).code, Code.Canceled);
      }
      await Promise.all(Array.from({ length: 300 }, () => probe.echo({ data: Uint8Array.of(1) })));
    },
    {
      timeoutMs: 60_000,
      skip: name === "fetch" && runtime === "bun" ? "Bun's fetch holds 256 calls" : undefined,
    },
  );

  // Messages of the greatest size are in sizes_test.ts.
  check("9 MiB, more than any window, are echoed", async (channel) => {
    const data = new Uint8Array(9 * 1024 * 1024).fill(7);
    data[data.length - 1] = 9;
    const answer = await createClient(ProbeService, channel).echo({ data });
    assert.equal(answer.data.length, data.length);
    assert.equal(answer.data.at(-1), 9);
  }, { timeoutMs: 60_000 });

  check("a unary call heeds its signal and its deadline", async (channel) => {
    const probe = createClient(ProbeService, channel);
    const start = performance.now();
    const [aborted, expired] = await Promise.all([
      rejection(() => probe.hangUnary({}, { signal: AbortSignal.timeout(100) })),
      rejection(() => probe.hangUnary({}, { timeoutMs: 100 })),
    ]);
    assert.ok([Code.Canceled, Code.DeadlineExceeded].includes(aborted.code), Code[aborted.code]);
    assert.equal(expired.code, Code.DeadlineExceeded);
    assert.ok(performance.now() - start < 3_000);
  });

  check("leaving the loop of a client resets the stream when its signal aborts", async (channel) => {
    const probe = createClient(ProbeService, channel);
    const token = crypto.randomUUID();
    const cancel = new AbortController();
    for await (const _ of probe.hang({}, { signal: cancel.signal, headers: { "x-witness": token } })) break;
    cancel.abort();
    await until(async () => (await probe.witness({ token })).cancelled);
  });

  check("leaving the loop over the channel's own stream resets it", async (channel) => {
    const probe = createClient(ProbeService, channel);
    const token = crypto.randomUUID();
    const input = (async function* () {
      yield {};
    })();
    const { message } = await channel.channel.stream(
      ProbeService.method.hang,
      undefined,
      undefined,
      { "x-witness": token },
      input,
    );
    for await (const _ of message) break;
    await until(async () => (await probe.witness({ token })).cancelled);
  });

  check("a call after close rejects at once, of every kind", async (channel) => {
    const probe = createClient(ProbeService, channel);
    await channel.close();
    const start = performance.now();
    const none = async function* () {};
    const calls = [
      () => probe.echo({}),
      async () => {
        for await (const _ of probe.download({}));
      },
      () => probe.upload(none()),
      async () => {
        for await (const _ of probe.exchange(none()));
      },
    ];
    for (const call of calls) assert.equal((await rejection(call)).code, Code.Unavailable);
    assert.ok(performance.now() - start < 5_000);
  });

  check("a timeout longer than a timer can hold is no timeout of a millisecond", async (channel) => {
    const probe = createClient(ProbeService, channel);
    for (const timeoutMs of [2 ** 31, 2 ** 40]) {
      assert.equal((await probe.echo({ data: Uint8Array.of(1) }, { timeoutMs })).data.length, 1);
      let count = 0;
      for await (const _ of probe.download({ size: 1, count: 3, intervalMs: 5 }, { timeoutMs })) count++;
      assert.equal(count, 3);
    }
  });
}

// Beside each other: what takes the time is the readers.
test("readers that take 1, 5 and 50 ms a message get all 200, and the end, on every lane", async () => {
  await using machine = await startMachine({ auth: "none" });
  await Promise.all(lanes.map(async ({ name, options }) => {
    await using channel = await dial(machine.address, options);
    const probe = createClient(ProbeService, channel);
    await Promise.all([1, 5, 50].map(async (pause) => {
      let count = 0;
      for await (const { data } of probe.download({ size: 1_000, count: 200 })) {
        assert.equal(data.length, 1_000);
        count++;
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
      assert.equal(count, 200, `${name}, ${pause} ms a message`);
    }));
  }));
}, { timeoutMs: 90_000 });
