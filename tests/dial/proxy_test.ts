import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import http2 from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { once } from "node:events";
import { inspect } from "node:util";
import { createClient } from "@connectrpc/connect";
import { EchoService, type Machine, type MachineOptions, startMachine } from "../../lib/testing/mod.ts";
import {
  type AuthenticatedChannel,
  dial,
  DialError,
  type DialOptions,
  DialTimeoutError,
  IceError,
} from "../../mod.ts";
import { openConnection } from "../../lib/net/connection.ts";
import { parseProxy } from "../../lib/core/net/proxy.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { type ProxyServer, type ProxyServerOptions, startProxy } from "../proxy_server.ts";

const CREDENTIALS = { username: "u ser", password: "p@ss:w/%C3" };
const USER = `${encodeURIComponent(CREDENTIALS.username)}:${encodeURIComponent(CREDENTIALS.password)}@`;

const portOf = ({ address }: Machine) => Number(address.split(":").at(-1));

/** A proxy that leads `robot.test` to a machine, and its URL. */
async function proxyTo(
  machine: Machine,
  kind: ProxyServerOptions["kind"],
  options: Partial<ProxyServerOptions> = {},
): Promise<ProxyServer & { readonly url: string }> {
  const port = portOf(machine);
  const routes = { "robot.test:80": port, "robot.test:443": port };
  const proxy = await startProxy({ kind, routes, ...options });
  const user = options.credentials === undefined ? "" : USER;
  return Object.assign(proxy, {
    url: `${kind === "socks5" ? "socks5h" : kind}://${user}127.0.0.1:${proxy.port}`,
  });
}

async function allKinds(channel: AuthenticatedChannel): Promise<void> {
  const echo = createClient(EchoService, channel);
  assert.equal((await echo.echo({ message: "one" })).message, "one");
  let heard = "";
  for await (const { message } of echo.echoMultiple({ message: "many" })) heard += message;
  assert.equal(heard, "many");
  const said = async function* () {
    yield { message: "bi" };
    yield { message: "di" };
  };
  heard = "";
  for await (const { message } of echo.echoBiDi(said())) heard += message;
  assert.equal(heard, "bidi");
}

for (const kind of ["http", "https", "socks5"] as const) {
  for (const credentials of [undefined, CREDENTIALS]) {
    const title = `${kind}${credentials === undefined ? "" : " with a password"}`;
    test(`a proxy (${title}) carries TLS and cleartext, all protocols, and signaling`, async () => {
      const certificates = await makeCertificates({ names: ["robot.test", "127.0.0.1"] });
      try {
        const { cert, key, ca } = certificates;
        const withTls: MachineOptions = { auth: "none", tls: { cert, key } };
        for (const secure of [true, false]) {
          await using machine = await startMachine(secure ? withTls : { auth: "none" });
          await using proxy = await proxyTo(machine, kind, {
            tls: { cert, key },
            ...(credentials === undefined ? {} : { credentials }),
          });
          const ways: readonly DialOptions[] = [
            { disableWebrtc: true },
            { disableWebrtc: true, protocol: "grpc" },
            {},
          ];
          for (const way of ways) {
            const before = proxy.asked.length;
            await using channel = await dial("robot.test", {
              ...way,
              mdns: false,
              proxy: proxy.url,
              tls: { ca },
              ...(secure ? {} : { insecure: true, ...(kind === "https" ? {} : { tls: {} }) }),
            });
            assert.equal(channel.kind, way.disableWebrtc === true ? "direct" : "webrtc");
            await allKinds(channel);
            assert.ok(proxy.asked.length > before);
          }
          assert.deepEqual([...new Set(proxy.asked)], [secure ? "robot.test:443" : "robot.test:80"]);
        }
      } finally {
        await certificates.remove();
      }
    });
  }
}

test("a certificate has to be for the address that is dialed through a proxy", async () => {
  const certificates = await makeCertificates({ names: ["192.0.2.1"] });
  try {
    const { cert, key, ca } = certificates;
    await using machine = await startMachine({ auth: "none", tls: { cert, key } });
    const port = portOf(machine);
    for (const kind of ["http", "socks5"] as const) {
      const routes = { "192.0.2.1:443": port, "192.0.2.2:443": port };
      await using proxy = await proxyTo(machine, kind, { routes });
      for (const protocol of ["grpc", "grpc-web"] as const) {
        const options: DialOptions = {
          disableWebrtc: true,
          mdns: false,
          protocol,
          proxy: proxy.url,
          tls: { ca },
        };
        await using channel = await dial("192.0.2.1", options);
        assert.equal((await createClient(EchoService, channel).echo({ message: "hi" })).message, "hi");
        await assert.rejects(dial("192.0.2.2", options), /certificate not trusted: 192\.0\.2\.2:443/);
      }
    }
  } finally {
    await certificates.remove();
  }
});

test("a proxy that leads to HTTP/2 without TLS may send the server's first frames with its own answer", async () => {
  const server = http2.createServer((_request, response) => response.end("hello"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  for (const kind of ["http", "socks5"] as const) {
    await using proxy = await startProxy({ kind, routes: { "h2.test:80": port } });
    const parsed = parseProxy(`${kind === "http" ? kind : "socks5h"}://127.0.0.1:${proxy.port}`);
    const place = { hostname: "h2.test", port: 80, proxy: { proxy: parsed, namedBy: "the test" } };
    const socket = await openConnection(place, { signal: AbortSignal.timeout(5_000) });
    const session = http2.connect("http://h2.test", { createConnection: () => socket });
    const stream = session.request({ ":path": "/" });
    stream.end();
    const [data] = await once(stream, "data");
    assert.equal(String(data), "hello");
    const closed = once(session, "close");
    session.destroy();
    await closed;
  }
  const closed = once(server, "close");
  server.close();
  await closed;
});

interface Failure {
  readonly title: string;
  readonly kind: "http" | "socks5";
  readonly user?: string;
  readonly options?: Partial<ProxyServerOptions>;
  readonly message: RegExp;
}

const says = (text: string | Uint8Array) => ({ answer: (socket: Socket) => void socket.end(text) });
const OPENED = "HTTP/1.1 200 Connection established\r\n\r\n";

const failures: readonly Failure[] = [
  {
    title: "refuses",
    kind: "http",
    options: says("HTTP/1.1 403 Forbidden\r\n\r\n"),
    message:
      /the proxy refuses: robot\.test:443 \(the proxy http:\/\/127\.0\.0\.1:\d+ answered 403 Forbidden\)\. Ask its administrator/,
  },
  {
    title: "refuses",
    kind: "socks5",
    options: says(Uint8Array.of(5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0)),
    message: /the proxy refuses: .* answered 2: connection not allowed by its rules\)\. Ask/,
  },
  {
    title: "wants credentials",
    kind: "http",
    user: "",
    options: { credentials: CREDENTIALS },
    message:
      /the proxy wants credentials: .* answered 407: it wants a user name and a password\)\. Put them into/,
  },
  {
    title: "wants credentials",
    kind: "socks5",
    user: "",
    options: { credentials: CREDENTIALS },
    message: /the proxy wants credentials: .* wants a user name and a password\)\. Put them into/,
  },
  {
    title: "refuses the credentials",
    kind: "http",
    user: "u:s3cret@",
    options: { credentials: CREDENTIALS },
    message: /answered 407: it refuses the user name or the password/,
  },
  {
    title: "refuses the credentials",
    kind: "socks5",
    user: "u:s3cret@",
    options: { credentials: CREDENTIALS },
    message: /refuses the user name or the password/,
  },
  {
    title: "cannot reach the machine",
    kind: "http",
    message:
      /the proxy cannot reach the server: robot\.test:443 .* answered 503 Service Unavailable\)\. Check the address/,
  },
  {
    title: "cannot reach the machine",
    kind: "socks5",
    message: /the proxy cannot reach the server: robot\.test:443 .* answered 4: host unreachable\)/,
  },
  {
    title: "answers rubbish",
    kind: "http",
    options: says("220 mail.example ESMTP\r\n"),
    message:
      /no such proxy there: .* does not answer as an HTTP proxy does\)\. Check the scheme and the port/,
  },
  {
    title: "answers rubbish",
    kind: "socks5",
    options: says("HTTP/1.1 400 Bad Request\r\n\r\n"),
    message: /no such proxy there: .* does not answer as a SOCKS5 proxy does\)/,
  },
  {
    title: "closes the connection",
    kind: "http",
    options: says("HTTP/1.1 200"),
    message:
      /the proxy cannot be reached: .* closed the connection before it answered\)\. Check the proxy's URL/,
  },
  {
    title: "closes the connection",
    kind: "socks5",
    options: says(Uint8Array.of(5, 0)),
    message: /the proxy cannot be reached: .* closed the connection before it answered\)/,
  },
  {
    title: "closes the connection that it has opened",
    kind: "http",
    options: says(OPENED),
    message: /connection lost: robot\.test:443 .*, through the proxy http:\/\/127\.0\.0\.1:\d+\. Check/,
  },
  {
    title: "answers with a page in the connection that it has opened",
    kind: "http",
    options: {
      answer(socket) {
        socket.write(OPENED);
        socket.once("data", () => socket.end("HTTP/1.1 403 Forbidden\r\n\r\n"));
      },
    },
    message:
      /robot\.test:443 is insecure\. It speaks no TLS, or the proxy http:\/\/127\.0\.0\.1:\d+ answers in its place\./,
  },
];

for (const { title, kind, user = "u:s3cret@", options = {}, message } of failures) {
  test(`a proxy (${kind}) that ${title} fails the dial at once, by name, and without its password`, async () => {
    await using proxy = await startProxy({ kind, routes: {}, ...options });
    const url = `${kind === "http" ? kind : "socks5h"}://${user}127.0.0.1:${proxy.port}`;
    const seen: unknown[] = [];
    const log = (...line: unknown[]) => void seen.push(line);
    for (const way of [{ disableWebrtc: true }, {}]) {
      const dialing = dial("robot.test", {
        ...way,
        mdns: false,
        proxy: url,
        logger: { debug: log, info: log, warn: log, error: log },
        onEvent: log,
      });
      await assert.rejects(dialing, (error) => {
        assert.ok(error instanceof DialError && !(error instanceof DialTimeoutError), String(error));
        assert.match(error.message, message);
        seen.push(error, error.stack, error.timeline);
        return true;
      });
    }
    const all = inspect(seen, { depth: 20 });
    for (const secret of ["s3cret", Buffer.from("u:s3cret").toString("base64")]) {
      assert.ok(!all.includes(secret), all);
    }
  });
}

/** Answers of a proxy that is asked for a TURN server, and what the dial says then. */
const relayFailures: readonly (readonly [answer: string, message: RegExp])[] = [
  [
    "HTTP/1.1 403 Forbidden\r\n\r\n",
    /: the proxy http:\/\/[\d.:]+ answered 403 Forbidden\. Ask its administrator/,
  ],
  [
    'HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n',
    /: the proxy http:\/\/[\d.:]+ answered 407: it refuses the user name or the password\. Put them into/,
  ],
  [
    "220 mail.example ESMTP\r\n",
    /: the proxy http:\/\/[\d.:]+ does not answer as an HTTP proxy does\. Check the scheme/,
  ],
  [
    "HTTP/1.1 200",
    /: the proxy http:\/\/[\d.:]+ closed the connection before it answered\. Check the proxy's URL/,
  ],
  [OPENED, /TURN over \w+ at turn\.test:\d+ through the proxy http:\/\/[\d.:]+: /],
];

test("a proxy that leads to no TURN server fails a dial that needs one, by name, and without its password", async () => {
  await using machine = await startMachine({
    auth: "none",
    faults: { signaling: { noCandidates: true } },
  });
  const port = portOf(machine);
  const failsBy = async (answer: string, message: RegExp, turn: string) => {
    await using proxy = await startProxy({
      kind: "http",
      routes: { "robot.test:80": port },
      answer: (socket, first) =>
        String(first).startsWith("CONNECT turn.test") ? void socket.end(answer) : false,
    });
    const iceServers = [{ urls: turn, username: "me", credential: "turn" }];
    const dialing = dial("robot.test", {
      insecure: true,
      mdns: false,
      proxy: `http://u:s3cret@127.0.0.1:${proxy.port}`,
      webrtc: { iceServers, forceRelay: true },
    });
    await assert.rejects(dialing, (error) => {
      assert.ok(error instanceof IceError, String(error));
      assert.match(error.message, message);
      assert.ok(!inspect(error, { depth: 20 }).includes("s3cret"));
      return true;
    });
  };
  await Promise.all(
    relayFailures.flatMap(([answer, message]) =>
      ["turn:turn.test:3478?transport=tcp", "turns:turn.test:443"].map((turn) =>
        failsBy(answer, message, turn)
      )
    ),
  );
});

test("a proxy that does not answer is named when the time of the dial runs out, and nothing is left open", async () => {
  for (const kind of ["http", "socks5"] as const) {
    await using proxy = await startProxy({ kind, routes: {}, answer: () => {} });
    const url = `${kind === "http" ? kind : "socks5h"}://u:s3cret@127.0.0.1:${proxy.port}`;
    await assert.rejects(dial("robot.test", { mdns: false, proxy: url, timeoutMs: 300 }), (error) => {
      assert.ok(error instanceof DialTimeoutError, String(error));
      assert.match(
        error.message,
        /reaching the server through the proxy (?:http|socks5h):\/\/127\.0\.0\.1:\d+\. Check that the proxy runs/,
      );
      assert.ok(!inspect(error).includes("s3cret"));
      return true;
    });
    while (proxy.open() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

test("a proxy that is not there is named, and so is one that speaks no TLS", async () => {
  await using machine = await startMachine({ auth: "none" });
  const table: readonly (readonly [proxy: string, message: RegExp])[] = [
    ["http://127.0.0.1:1", /the proxy cannot be reached: .* cannot be reached: connection refused\)/],
    ["socks5h://nobody.invalid:1", /the proxy cannot be reached: .* cannot be reached: name not found\)/],
    [
      `https://127.0.0.1:${portOf(machine)}`,
      /no TLS with the proxy: .*\. Write http:\/\/ if the proxy speaks no TLS/,
    ],
  ];
  for (const [proxy, message] of table) {
    await assert.rejects(dial("robot.test", { mdns: false, proxy }), message);
  }
});

test("a channel whose proxy drops its connections reconnects through it", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using proxy = await proxyTo(machine, "http");
  for (const protocol of ["grpc", "grpc-web"] as const) {
    await using channel = await dial("robot.test", {
      insecure: true,
      mdns: false,
      disableWebrtc: true,
      protocol,
      proxy: proxy.url,
    });
    const echo = createClient(EchoService, channel);
    await echo.echo({ message: "before" });
    proxy.cut();
    while (proxy.open() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    // The runtime sees at its own time that connections are lost; a call meanwhile may fail, and none hangs.
    let message: string | undefined;
    while (message === undefined) {
      message = await echo.echo({ message: "after" }).then((answer) => answer.message, () => undefined);
    }
    assert.equal(message, "after");
  }
});
