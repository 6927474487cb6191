/** Checks that our transport behaves as Connect's own: each check runs on both, and the results are compared. */

import assert from "node:assert/strict";
import {
  Code,
  ConnectError,
  createClient,
  createContextKey,
  createContextValues,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { type Machine, startMachine } from "../../lib/testing/mod.ts";
import { dial, dialDirect } from "../../mod.ts";
import { ErrorDetailSchema, ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";

/** Opens a transport with interceptors. */
type Open = (
  machine: Machine,
  interceptors: Interceptor[],
) => Promise<{ readonly transport: Transport; close(): Promise<void> }>;

const reference: Open = (machine, interceptors) => {
  // A session of its own, so that it is gone before the machine is: Deno does not survive a GOAWAY on it.
  const sessionManager = new Http2SessionManager(machine.url);
  const transport = createGrpcTransport({ baseUrl: machine.url, interceptors, sessionManager });
  return Promise.resolve({
    transport,
    close: () => Promise.resolve(sessionManager.abort()),
  });
};

const direct = (protocol: "auto" | "grpc"): Open => async (machine, interceptors) => {
  const channel = await dialDirect(machine.address, { insecure: true, protocol, interceptors });
  return { transport: channel, close: () => channel.close() };
};

const LANES: Readonly<Record<string, Open>> = {
  // On Bun, whose fetch has no HTTP/2 in the clear, this is so for calls that do not stream.
  "gRPC-Web over fetch": direct("auto"),
  "gRPC over node:http2": direct("grpc"),
  "a data channel": async (machine, interceptors) => {
    const channel = await dial(machine.address, { insecure: true, interceptors });
    assert.equal(channel.path.protocol, "webrtc");
    return { transport: channel, close: () => channel.close() };
  },
};

/** Describes the result in comparable values. */
type Check = (use: (interceptors?: Interceptor[]) => Promise<Transport>) => Promise<unknown>;

function compare(title: string, check: Check): void {
  for (const [lane, open] of Object.entries(LANES)) {
    test(`${title}, over ${lane} as with connect-node`, async () => {
      await using machine = await startMachine({ auth: "none" });
      const run = async (opener: Open) => {
        const opened: { close(): Promise<void> }[] = [];
        try {
          return await check(async (interceptors = []) => {
            const one = await opener(machine, interceptors);
            opened.push(one);
            return one.transport;
          });
        } finally {
          for (const one of opened) await one.close();
        }
      };
      const expected = await run(reference);
      assert.deepEqual(await run(open), expected);
    });
  }
}

const probe = (transport: Transport) => createClient(ProbeService, transport);

/** The application's metadata: names that begin with `x-`, base64 without its padding. */
function application(headers: Headers): [name: string, value: string][] {
  return [...headers].filter(([name]) => name.startsWith("x-") && name !== "x-grpc-web")
    .map(([name, value]) => [name, value.replace(/=+$/, "")]);
}

/** The comparable parts of an error. */
function described(error: unknown) {
  assert.ok(error instanceof ConnectError, String(error));
  return {
    code: Code[error.code],
    message: error.rawMessage,
    details: error.findDetails(ErrorDetailSchema).map(({ text }) => text),
    metadata: application(error.metadata),
  };
}

async function failure(run: () => Promise<unknown>) {
  try {
    await run();
  } catch (error) {
    return described(error);
  }
  return assert.fail("no error");
}

async function drain<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const all = [];
  for await (const message of messages) all.push(message);
  return all;
}

async function* payloads(count: number) {
  for (let index = 0; index < count; index++) yield { data: Uint8Array.of(index) };
}

const KEY = createContextKey("unset");

/** Records what an interceptor sees, and adds to the request. */
function noting(name: string, notes: unknown[]): Interceptor {
  return (next) => async (request) => {
    notes.push([
      name,
      request.stream,
      request.service.typeName,
      request.method.name,
      request.requestMethod,
      new URL(request.url).pathname,
      application(request.header),
      request.contextValues.get(KEY),
      request.signal instanceof AbortSignal && request.signal.aborted,
    ]);
    request.header.append("x-seen-by", name);
    const response = await next(request);
    notes.push([
      name,
      "response",
      response.stream,
      response.service.typeName,
      response.method.name,
      application(response.header),
      response.stream ? "" : application(response.trailer),
    ]);
    response.header.append("x-answered-by", name);
    return response;
  };
}

compare("interceptors see every kind of call, and the server and the caller what they add", async (use) => {
  const notes: unknown[] = [];
  const client = probe(await use([noting("outer", notes), noting("inner", notes)]));
  const options = {
    headers: { "x-own": "1" },
    contextValues: createContextValues().set(KEY, "set"),
    onHeader: (headers: Headers) => void notes.push(["header", application(headers)]),
    onTrailer: (trailers: Headers) => void notes.push(["trailer", application(trailers)]),
  };
  const { metadata } = await client.inspect({}, options);
  notes.push(metadata["x-seen-by"]?.values.join(", "), metadata["x-own"]?.values);
  await client.failUnary({}, options);
  await client.upload(payloads(2), options);
  await drain(client.fail({ after: 2 }, options));
  await drain(client.exchange(payloads(2), options));
  return notes;
});

compare("an interceptor can replace messages, both ways", async (use) => {
  async function* doubled(messages: AsyncIterable<unknown>) {
    for await (const message of messages) {
      yield message;
      yield message;
    }
  }
  const doubling: Interceptor = (next) => async (request) => {
    if (!request.stream) return await next(request);
    const response = await next({ ...request, message: doubled(request.message) as typeof request.message });
    return response.stream && response.method.methodKind === "bidi_streaming"
      ? { ...response, message: doubled(response.message) as typeof response.message }
      : response;
  };
  const client = probe(await use([doubling]));
  const { count } = await client.upload(payloads(3));
  return [count, (await drain(client.exchange(payloads(2)))).map(({ data }) => [...data])];
});

compare("an interceptor can answer, and refuse, instead of the server", async (use) => {
  const refusing: Interceptor = () => () => Promise.reject(new Error("not today"));
  const precise: Interceptor = () => () => Promise.reject(new ConnectError("not you", Code.PermissionDenied));
  const results = [];
  for (const interceptor of [refusing, precise]) {
    const client = probe(await use([interceptor]));
    results.push(await failure(() => client.echo({})));
    results.push(await failure(() => drain(client.download({ size: 1, count: 1 }))));
  }
  return results;
});

compare("an interceptor sees the error of a call", async (use) => {
  const seen: unknown[] = [];
  const watching: Interceptor = (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      seen.push(described(error));
      throw error;
    }
  };
  const client = probe(await use([watching]));
  const thrown = await failure(() => client.failUnary({ code: Code.Aborted, message: "so", detail: "why" }));
  return [seen, thrown];
});

compare("contextValues have their defaults", async (use) => {
  const seen: unknown[] = [];
  const reading: Interceptor = (next) => (request) => {
    seen.push(request.contextValues.get(KEY));
    return next(request);
  };
  const client = probe(await use([reading]));
  await client.echo({});
  await drain(client.download({ size: 1, count: 1 }));
  return seen;
});

compare("onHeader and onTrailer come once, in their place among the messages", async (use) => {
  const client = probe(await use());
  const events: unknown[] = [];
  const options = {
    onHeader: (headers: Headers) => void events.push(["header", application(headers)]),
    onTrailer: (trailers: Headers) => void events.push(["trailer", application(trailers)]),
  };
  await client.failUnary({}, options);
  events.push("unary");
  await client.upload(payloads(2), options);
  events.push("client stream");
  for await (const _ of client.fail({ after: 2 }, options)) events.push("message");
  events.push("server stream");
  for await (const _ of client.exchange(payloads(2), options)) events.push("message");
  events.push("bidirectional");
  for await (const _ of client.download({ count: 0 }, options)) events.push("message");
  events.push("empty");
  return events;
});

compare(
  "an error has its code, text, details and metadata, and is told to no onHeader before its time",
  async (use) => {
    const client = probe(await use());
    const events: unknown[] = [];
    const options = {
      onHeader: (headers: Headers) => void events.push(["header", application(headers)]),
      onTrailer: (trailers: Headers) => void events.push(["trailer", application(trailers)]),
    };
    const request = { code: Code.NotFound, message: "nö, 100 %20\nlost", detail: "why" };
    events.push(await failure(() => client.failUnary(request, options)));
    events.push(await failure(() => drain(client.fail({ ...request, after: 2 }, options))));
    events.push(await failure(() => client.failUnary({ code: Code.Unknown }, options)));
    return events;
  },
);

compare("timeoutMs reaches the server, and ends the call", async (use) => {
  const client = probe(await use());
  const left = async (timeoutMs: number | undefined) => {
    const answer = await client.inspect({}, timeoutMs === undefined ? {} : { timeoutMs });
    return answer.timeoutMs > 0n ? "a deadline" : "none";
  };
  return [
    await left(undefined),
    await left(20_000),
    await left(0),
    await left(-1),
    await failure(() => client.hangUnary({}, { timeoutMs: 100 })),
    await failure(() => drain(client.hang({}, { timeoutMs: 100 }))),
    await failure(() =>
      client.upload(
        (async function* () {
          yield {};
          await new Promise(() => {});
        })(),
        { timeoutMs: 100 },
      )
    ),
  ];
});

compare("a signal ends the call, with its reason", async (use) => {
  const client = probe(await use());
  const aborted = (reason?: unknown) => {
    const controller = new AbortController();
    controller.abort(reason);
    return controller.signal;
  };
  const later = (reason?: unknown) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 50);
    return controller.signal;
  };
  const results = [];
  for (const reason of [undefined, new Error("enough"), new ConnectError("mine", Code.Aborted), "text"]) {
    results.push(await failure(() => client.echo({}, { signal: aborted(reason) })));
    results.push(await failure(() => client.hangUnary({}, { signal: later(reason) })));
    results.push(await failure(() => drain(client.download({ count: 1 }, { signal: aborted(reason) }))));
    results.push(await failure(() => drain(client.hang({}, { signal: later(reason) }))));
  }
  return results;
});

compare("headers are taken in every form, repeated and binary ones too", async (use) => {
  const client = probe(await use());
  const results = [];
  const forms: HeadersInit[] = [
    { "X-One": "1", "x-bytes-bin": "AAEC" },
    [["x-list", "a"], ["x-list", "b"]],
    new Headers([["x-list", "a"], ["X-List", "b, c"]]),
  ];
  for (const headers of forms) {
    const { metadata } = await client.inspect({}, { headers });
    results.push(
      Object.entries(metadata).filter(([name]) => /^x-(?:one|list|bytes-bin)$/.test(name))
        .map(([name, { values }]) => [name, values.join(", ")]).toSorted(),
    );
  }
  return results;
});

compare("a response of Transport.unary and Transport.stream has every member", async (use) => {
  const { echo, download } = ProbeService.method;
  const results = [];
  for (const interceptors of [[], [noting("one", [])]]) {
    const transport = await use(interceptors);
    const unary = await transport.unary(echo, undefined, undefined, undefined, { data: Uint8Array.of(7) });
    results.push([
      Object.keys(unary).toSorted(),
      unary.stream,
      unary.service === ProbeService,
      unary.method === echo,
      unary.header instanceof Headers && unary.trailer instanceof Headers,
      unary.message.$typeName,
      [...unary.message.data],
    ]);
    const stream = await transport.stream(
      download,
      undefined,
      undefined,
      undefined,
      (async function* () {
        yield { size: 2, count: 2 };
      })(),
    );
    results.push([
      stream.stream,
      stream.service.typeName,
      stream.method === download,
      stream.header instanceof Headers && stream.trailer instanceof Headers,
      (await drain(stream.message)).map(({ $typeName, data }) => [$typeName, [...data]]),
    ]);
  }
  return results;
});

compare("a nonexistent method is Unimplemented", async (use) => {
  const transport = await use();
  const method = { ...ProbeService.method.echo, name: "Nothing" };
  const { code } = await failure(() => transport.unary(method, undefined, undefined, undefined, {}));
  return code;
});
