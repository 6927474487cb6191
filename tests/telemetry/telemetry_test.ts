import assert from "node:assert/strict";
import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { Code, createClient } from "@connectrpc/connect";
import { type Machine, ProbeService, startMachine } from "../../lib/testing/mod.ts";
import { dial, DialOptions, type ViamChannel } from "../../mod.ts";
import { test } from "../harness.ts";

const PROBE = ProbeService.typeName;

/** Registers the real SDK for as long as `use` runs, with a context manager or without. */
async function traced(
  use: (spans: () => ReadableSpan[]) => Promise<void>,
  managed = true,
): Promise<void> {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  assert.ok(trace.setGlobalTracerProvider(provider));
  if (managed) assert.ok(context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()));
  try {
    await use(() => exporter.getFinishedSpans());
  } finally {
    await provider.shutdown();
    trace.disable();
    context.disable();
    propagation.disable();
  }
}

async function withChannel(
  use: (channel: ViamChannel, machine: Machine) => Promise<void>,
  options: DialOptions = {},
): Promise<void> {
  await using machine = await startMachine();
  await using channel = await dial(machine.address, {
    ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
    insecure: true,
    ...options,
  });
  await use(channel, machine);
}

function named(spans: readonly ReadableSpan[], name: string): ReadableSpan {
  const found = spans.find((span) => span.name === name);
  assert.ok(found, `${name} is not among ${spans.map((span) => span.name).join(", ")}`);
  return found;
}

const traceparentOf = (span: ReadableSpan) => {
  const { traceId, spanId } = span.spanContext();
  return `00-${traceId}-${spanId}-01`;
};

for (const [name, options] of [["WebRTC", {}], ["direct", { disableWebrtc: true }]] as const) {
  test(`a ${name} dial has a span, with a child span for each step`, async () => {
    await traced(async (spans) => {
      await withChannel((_channel, machine) => {
        const all = spans();
        const whole = named(all, "viam.dial");
        assert.equal(whole.attributes["server.address"], "127.0.0.1");
        assert.equal(whole.attributes["server.port"], machine.port);
        assert.equal(whole.attributes["viam.dial.kind"], name === "direct" ? "direct" : "webrtc");
        assert.equal(whole.status.code, SpanStatusCode.UNSET);
        const steps = name === "direct"
          ? ["connect", "authenticate"]
          : ["connect", "authenticate", "config", "engine", "offer", "signaling", "channel"];
        for (const step of steps) {
          const span = named(all, `viam.dial.${step}`);
          assert.equal(span.parentSpanContext?.spanId, whole.spanContext().spanId, step);
          assert.equal(span.spanContext().traceId, whole.spanContext().traceId);
        }
        const attributes = JSON.stringify(all.map((span) => [span.attributes, span.events, span.status]));
        assert.ok(!attributes.includes(machine.apiKey), "no secret");
        return Promise.resolve();
      }, options);
    });
  });

  test(`a ${name} call has a client span by the conventions, whose context reaches the machine`, async () => {
    await traced(async (spans) => {
      await withChannel(async (channel, machine) => {
        const tracer = trace.getTracer("test");
        const { metadata } = await tracer.startActiveSpan("around", async (around) => {
          try {
            return await createClient(ProbeService, channel).inspect({});
          } finally {
            around.end();
          }
        });
        const span = named(spans(), `${PROBE}/Inspect`);
        assert.equal(span.kind, SpanKind.CLIENT);
        assert.deepEqual(span.attributes, {
          "rpc.system": "grpc",
          "rpc.service": PROBE,
          "rpc.method": "Inspect",
          "server.address": "127.0.0.1",
          "server.port": machine.port,
          "rpc.grpc.status_code": 0,
        });
        assert.equal(span.parentSpanContext?.spanId, named(spans(), "around").spanContext().spanId);
        assert.deepEqual(metadata["traceparent"]?.values, [traceparentOf(span)]);
      }, options);
    });
  });
}

test("a call's span has the status of the call, for streams, too", async () => {
  await traced(async (spans) => {
    await withChannel(async (channel) => {
      const probe = createClient(ProbeService, channel);
      await assert.rejects(probe.failUnary({ code: Code.NotFound, message: "gone" }));
      await assert.rejects(async () => {
        for await (const _ of probe.fail({ code: Code.Aborted, message: "enough", after: 2 }));
      });
      for await (const _ of probe.download({ size: 1, count: 2 }));
      const stop = new AbortController();
      await assert.rejects(async () => {
        for await (const _ of probe.hang({}, { signal: stop.signal })) stop.abort();
      });
      const table:
        readonly (readonly [method: string, code: number, status: SpanStatusCode, type?: string])[] = [
          ["FailUnary", Code.NotFound, SpanStatusCode.ERROR, "NotFound"],
          ["Fail", Code.Aborted, SpanStatusCode.ERROR, "Aborted"],
          ["Download", 0, SpanStatusCode.UNSET],
          ["Hang", Code.Canceled, SpanStatusCode.ERROR, "Canceled"],
        ];
      for (const [method, code, status, type] of table) {
        const matching = spans().filter((span) => span.name === `${PROBE}/${method}`);
        assert.equal(matching.length, 1, method);
        const { attributes, status: seen } = matching[0]!;
        assert.equal(attributes["rpc.grpc.status_code"], code, method);
        assert.equal(attributes["error.type"], type, method);
        assert.equal(seen.code, status, method);
      }
    });
  });
});

test("the span of an abandoned stream ends with the stream", async () => {
  await traced(async (spans) => {
    await withChannel(async (channel) => {
      const probe = createClient(ProbeService, channel);
      for await (const _ of probe.download({ size: 1, count: 3 })) break;
      const failing = probe.fail({ code: Code.Aborted, after: 1 })[Symbol.asyncIterator]();
      await failing.next();
      for await (const _ of probe.hang({})) break;
      await channel.close();
      const codeOf = (method: string) =>
        named(spans(), `${PROBE}/${method}`).attributes["rpc.grpc.status_code"];
      assert.deepEqual(["Download", "Fail", "Hang"].map(codeOf), [0, Code.Aborted, Code.Unavailable]);
    });
  });
});

test("a failed dial has failed spans", async () => {
  await traced(async (spans) => {
    await using machine = await startMachine();
    await assert.rejects(
      dial(machine.address, { ...DialOptions.withApiKey("wrong", machine.apiKeyId), insecure: true }),
    );
    for (const name of ["viam.dial", "viam.dial.authenticate"]) {
      const { status, events, attributes } = named(spans(), name);
      assert.equal(status.code, SpanStatusCode.ERROR, name);
      assert.ok(events.some((event) => event.name === "exception"), name);
      assert.ok(attributes["error.type"] !== undefined);
    }
    assert.ok(spans().every(({ ended }) => ended));
  });
});

test("a reconnect has the spans of a dial", async () => {
  await traced(async (spans) => {
    await withChannel(async (channel, machine) => {
      const reconnected = new Promise<void>((resolve) => {
        channel.addEventListener("connected", () => resolve());
      });
      machine.dropConnections();
      await reconnected;
      const again = spans().filter((span) => span.attributes["viam.dial.reconnect"] === "true");
      assert.ok(
        again.some((span) => span.name === "viam.dial" && span.attributes["viam.dial.kind"] === "webrtc"),
      );
    });
  });
}, { timeoutMs: 60_000 });

test("without a context manager the spans of a dial are still connected, and calls send their context", async () => {
  await traced(async (spans) => {
    await withChannel(async (channel) => {
      const { metadata } = await createClient(ProbeService, channel).inspect({});
      const whole = named(spans(), "viam.dial");
      assert.equal(
        named(spans(), "viam.dial.signaling").parentSpanContext?.spanId,
        whole.spanContext().spanId,
      );
      assert.deepEqual(metadata["traceparent"]?.values, [
        traceparentOf(named(spans(), `${PROBE}/Inspect`)),
      ]);
    });
  }, false);
});

test("a program's own propagator is used if there is one", async () => {
  await traced(async () => {
    propagation.setGlobalPropagator({
      inject: (_context, carrier, setter) => setter.set(carrier, "x-my-trace", "mine"),
      extract: (extracted) => extracted,
      fields: () => ["x-my-trace"],
    });
    await withChannel(async (channel) => {
      const { metadata } = await createClient(ProbeService, channel).inspect({});
      assert.deepEqual(metadata["x-my-trace"]?.values, ["mine"]);
      assert.equal(metadata["traceparent"], undefined);
    });
  });
});

test("without OpenTelemetry no context is sent", async () => {
  await withChannel(async (channel) => {
    const { metadata } = await createClient(ProbeService, channel).inspect({});
    assert.equal(metadata["traceparent"], undefined);
  });
});
