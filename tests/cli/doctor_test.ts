import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import http from "node:http";
import net from "node:net";
import { join } from "node:path";
import process from "node:process";
import type { Rung } from "../../lib/cli/doctor/ladder.ts";
import { type MachineOptions, startMachine } from "../../lib/testing/mod.ts";
import { makeCertificates } from "../certificates.ts";
import { runtime, test } from "../harness.ts";
import { runProgram } from "../process/child.ts";
import { startProxy } from "../proxy_server.ts";
import { type CommandResult, environmentOf, runCommand, runCommandProcess } from "./command_line.ts";

const LIMIT = { timeoutMs: 120_000 };

interface Report {
  readonly rungs: readonly Rung[];
  readonly verdict: "well" | "ill";
  readonly sentence: string;
  readonly exitCode: number;
}

async function examine(
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Report> {
  return reportOf(await runCommand(["doctor", ...args, "--json"], options));
}

function reportOf({ code, stdout, stderr }: CommandResult): Report {
  assert.equal(stderr, "");
  const report: Report = JSON.parse(stdout);
  assert.equal(code, report.exitCode);
  return report;
}

/** That one step has failed, the ones before have not, those after were not tried, and the last sentence. */
function assertIll(report: Report, step: string, sentence: string | RegExp, exitCode = 3): void {
  const { rungs } = report;
  const at = rungs.findIndex(({ verdict }) => verdict === "failed");
  assert.equal(rungs[at]?.name, step, JSON.stringify(rungs));
  for (const { name, verdict } of rungs.slice(at + 1)) assert.equal(verdict, "skipped", name);
  assert.deepEqual([report.verdict, report.exitCode], ["ill", exitCode]);
  if (typeof sentence === "string") assert.equal(report.sentence, sentence);
  else assert.match(report.sentence, sentence);
}

async function withPort(
  server: net.Server,
  use: (address: string) => Promise<void>,
): Promise<void> {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as net.AddressInfo;
    await use(`127.0.0.1:${port}`);
  } finally {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  }
}

test("doctor takes every step of a dial that works, over WebRTC and directly", async () => {
  await using machine = await startMachine();
  const env = environmentOf(machine);
  const webrtc = await examine(["--insecure"], { env });
  assert.deepEqual(webrtc.rungs.map(({ name, verdict }) => `${name} ${verdict}`), [
    ...["permissions ok", "name ok", "TCP ok", "TLS ok", "protocol ok", "clock ok"],
    ...["authentication ok", "signaling ok", "UDP ok", "STUN skipped", "TURN skipped"],
    ...["machine ok", "data channel ok", "dial ok", "first call ok"],
  ]);
  for (const { name, ms } of webrtc.rungs) assert.ok(ms >= 0, name);
  // The machine's own may come after the way through to it is found.
  const channel = webrtc.rungs.find(({ name }) => name === "data channel")!;
  assert.match(
    channel.detail,
    /^open, \S+ \S+ to \S+; candidates here: host udp \S+.*; of the machine: \S/,
  );
  assert.match(webrtc.sentence, /^127\.0\.0\.1:\d+ can be reached over WebRTC, and answers in [\d.]+ ms\.$/);
  const direct = await examine(["--insecure", "--direct"], { env });
  assert.match(direct.sentence, /can be reached directly, by grpc over HTTP\/2, and answers in/);
  assert.deepEqual([direct.verdict, direct.exitCode], ["well", 0]);
}, LIMIT);

test("doctor writes a line for each step, advice, and one sentence at the end", async () => {
  await using machine = await startMachine();
  const { code, stdout } = await runCommand(["doctor", machine.address]);
  assert.equal(code, 3);
  assert.match(stdout, /^ok +TCP +[\d.]+ ms {2}127\.0\.0\.1:\d+ accepts connections$/m);
  assert.match(
    stdout,
    /^FAILED +TLS +[\d.]+ ms {2}the server does not speak TLS\n +if the network is trusted, /m,
  );
  assert.match(stdout, /\n\n127\.0\.0\.1:\d+ does not speak TLS; [^\n]+\.\n$/);
}, LIMIT);

test("doctor: an unknown name", async () => {
  assertIll(
    await examine(["no-such-machine.invalid", "--no-mdns"]),
    "name",
    "The name no-such-machine.invalid cannot be resolved; check its spelling, and that this computer has a network and a name server.",
  );
}, LIMIT);

test("doctor: a dead port", async () => {
  let dead = "";
  await withPort(net.createServer(), (address) => {
    dead = address;
    return Promise.resolve();
  });
  assertIll(
    await examine([dead]),
    "TCP",
    `Nothing listens on ${dead}; check the port, and that the machine is running.`,
  );
}, LIMIT);

test("doctor: a proxy that leads to the machine, one that refuses, and one that is not there", async () => {
  await using machine = await startMachine({ auth: "none" });
  const routes = { "robot.test:80": Number(machine.address.split(":").at(-1)) };
  const credentials = { username: "me", password: "s3cret" };
  await using open = await startProxy({ kind: "socks5", routes });
  await using closed = await startProxy({ kind: "http", routes, credentials });
  const args = ["robot.test:80", "--insecure", "--direct", "--proxy"];
  const well = await examine([...args, `socks5h://127.0.0.1:${open.port}`]);
  assert.equal(well.verdict, "well", JSON.stringify(well.rungs));
  const proxy = well.rungs.find(({ name }) => name === "proxy");
  assert.match(proxy!.detail, /^socks5h:\/\/127\.0\.0\.1:\d+, of the option proxy, leads to robot\.test:80$/);
  assertIll(
    await examine([...args, `http://127.0.0.1:${closed.port}`]),
    "proxy",
    /^robot\.test:80 cannot be reached through a proxy: the proxy http:\/\/\S+ answered 407: it wants a user name and a password; put them into the proxy's URL/,
  );
  assertIll(
    await examine([...args, "http://127.0.0.1:1"]),
    "proxy",
    /^robot\.test:80 cannot be reached through a proxy: the proxy http:\/\/127\.0\.0\.1:1 cannot be reached: connection refused; check/,
  );
  const { code, stdout, stderr } = await runCommand(["doctor", ...args, "http://me:s3cret@127.0.0.1:1"]);
  assert.equal(code, 2);
  assert.match(stderr, /--proxy takes no user and no password/);
  assert.ok(!`${stdout}${stderr}`.includes("s3cret"));
}, LIMIT);

test("doctor: a silent port, with TLS and without", async () => {
  await using machine = await startMachine({ auth: "none", faults: { silent: true } });
  const sentence = `${machine.address} accepts connections but sends nothing; ` +
    "check the port, and if it is right, restart the machine.";
  assertIll(await examine([machine.address, "--timeout", "2000"]), "TLS", sentence);
  assertIll(
    await examine([machine.address, "--insecure", "--direct", "--timeout", "2000"]),
    "protocol",
    sentence,
  );
}, LIMIT);

test("doctor: a port that is not gRPC: a web server, and a mail server", async () => {
  const web = http.createServer((_request, response) => response.writeHead(404).end("nothing here"));
  const mail = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.end("220 mail.example ESMTP\r\n");
  });
  for (const server of [web, mail]) {
    await withPort(server, async (address) => {
      assertIll(
        await examine([address, "--insecure"]),
        "protocol",
        `${address} does not speak gRPC; check the port: another program answers there.`,
      );
    });
  }
}, LIMIT);

test("doctor: certificates that are not trusted, expired, and for another name", async () => {
  const certificates = await makeCertificates();
  const expired = await certificates.issue({ expired: true });
  const wrong = await certificates.issue({ names: ["other.example"] });
  const ca = ["--ca", join(certificates.folder, "ca.pem")];
  const against = async (tls: MachineOptions["tls"] & object, args: readonly string[]) => {
    await using machine = await startMachine({ auth: "none", tls });
    return { report: await examine([machine.address, ...args]), address: machine.address };
  };
  try {
    const good = await against(certificates, ca);
    assert.equal(good.report.verdict, "well");
    const untrusted = await against(certificates, []);
    assertIll(
      untrusted.report,
      "TLS",
      `The certificate of ${untrusted.address} is signed by viam-dial test authority, which this computer does not ` +
        "trust; if you know that authority, pass its certificate as --ca.",
    );
    const yesterday = / expired on \d{4}-\d\d-\d\d; renew it, or set this computer's clock right\.$/;
    assertIll((await against(expired, ca)).report, "TLS", yesterday);
    assertIll((await against(expired, [])).report, "TLS", yesterday);
    const other = await against(wrong, ca);
    assertIll(
      other.report,
      "TLS",
      `The certificate of ${other.address} is for other.example, not for 127.0.0.1; dial it by that name, or pass that ` +
        "as --server-name.",
    );
  } finally {
    await certificates.remove();
  }
}, LIMIT);

test("doctor: a server that wants a client's certificate", async () => {
  const certificates = await makeCertificates();
  try {
    await using machine = await startMachine({
      auth: "none",
      tls: { ...certificates, requestCertificate: true },
    });
    const report = await examine([machine.address, "--ca", join(certificates.folder, "ca.pem")]);
    const sentence =
      `${machine.address} requires a client certificate; pass one as --client-cert and --client-key.`;
    assertIll(report, "protocol", sentence);
  } finally {
    await certificates.remove();
  }
}, LIMIT);

test("doctor: authentication that does not answer", async () => {
  await using machine = await startMachine({
    faults: { only: (path) => path.endsWith("/Authenticate"), silent: true },
  });
  const report = await examine([machine.address, "--insecure", "--timeout", "1500"], {
    env: environmentOf(machine),
  });
  assertIll(report, "authentication", `${machine.address} does not authenticate: no answer.`, 3);
}, LIMIT);

test("doctor: a server without TLS, and one with TLS where none was expected", async () => {
  await using plain = await startMachine();
  assertIll(
    await examine([plain.address], { env: environmentOf(plain) }),
    "TLS",
    `${plain.address} does not speak TLS; if the network is trusted, pass --insecure.`,
  );
  const allowed = await examine(["--allow-insecure-with-creds-downgrade"], { env: environmentOf(plain) });
  assert.match(allowed.sentence, /can be reached over WebRTC, and answers in [\d.]+ ms; see TLS\.$/);
  const certificates = await makeCertificates();
  try {
    await using secure = await startMachine({ auth: "none", tls: certificates });
    assertIll(
      await examine([secure.address, "--insecure"]),
      "TLS",
      `${secure.address} speaks TLS; remove --insecure, or http:// from the address.`,
    );
  } finally {
    await certificates.remove();
  }
}, LIMIT);

test("doctor: a wrong key, and no key", async () => {
  await using machine = await startMachine();
  const env = { ...environmentOf(machine), VIAM_API_KEY: "wr0ng-key" };
  for (const way of [[], ["--direct"]]) {
    const report = await examine(["--insecure", ...way], { env });
    assertIll(
      report,
      "authentication",
      `${machine.address} refuses the credentials of ${machine.apiKeyId}; check the key and its id, and that they are ` +
        "for this machine.",
      4,
    );
    assert.ok(!JSON.stringify(report).includes("wr0ng-key"));
  }
  const wanted = `${machine.address} requires credentials; set VIAM_API_KEY and VIAM_API_KEY_ID.`;
  assertIll(await examine([machine.address, "--insecure"]), "authentication", wanted, 4);
  assertIll(await examine([machine.address, "--insecure", "--direct"]), "authentication", wanted, 4);
}, LIMIT);

test("doctor: a machine that is offline", async () => {
  await using machine = await startMachine({ auth: "none", faults: { signaling: { offline: true } } });
  assertIll(
    await examine([machine.address, "--insecure"]),
    "machine",
    `${machine.address} is offline: the signaling server knows it, but it is not connected; check that viam-server is running ` +
      "there and has a network.",
  );
}, LIMIT);

test("doctor: a machine that refuses the offer, and peers that do not find each other", async () => {
  await using machine = await startMachine({ auth: "none", faults: { signaling: { rejectOffers: "no" } } });
  assertIll(
    await examine([machine.address, "--insecure"]),
    "machine",
    /does not answer the offer \(.*error from answerer: no\); check that viam-server is running there, and restart it if it is\.$/,
  );
  machine.faults = { signaling: { noCandidates: true } };
  const lost = await examine([machine.address, "--insecure", "--timeout", "6000"]);
  assertIll(
    lost,
    "data channel",
    `No network path was found between this computer and ${machine.address}; allow UDP between them, use a TURN ` +
      "server, or use --direct.",
  );
  assert.match(lost.rungs.find(({ name }) => name === "data channel")!.detail, /candidates here: host udp/);
}, LIMIT);

/** A user namespace gives others than root a network of their own, where that is allowed. */
const UNSHARE = ["unshare", ...process.getuid?.() === 0 ? [] : ["--map-root-user"], "--net"];

function withoutNamespaces(): string | undefined {
  const commands = [
    "ip link add one type veth peer name other",
    "nft add table inet test",
    "nft add chain inet test out '{ type filter hook output priority 0 ; }'",
  ];
  const trial = `PATH=$PATH:/usr/sbin:/sbin; ${commands.join(" && ")}`;
  const [program, ...args] = [...UNSHARE, "sh", "-c", trial];
  return spawnSync(program!, args, { stdio: "ignore" }).status === 0
    ? undefined
    : "needs network namespaces, `ip` and `nft`";
}

test("doctor: UDP is blocked", async () => {
  const run = async (...args: string[]): Promise<Report> => {
    const { stdout, stderr } = await runProgram("tests/cli/namespace_program.ts", { args, within: UNSHARE });
    assert.equal(stderr, "");
    return JSON.parse(stdout);
  };
  assert.equal((await run()).verdict, "well", "what is not blocked passes");
  const blocked = await run("blocked");
  assertIll(
    blocked,
    "data channel",
    "UDP is blocked on this computer, and WebRTC needs it; allow it in the firewall, or use --direct.",
  );
  assert.equal(blocked.rungs.find(({ name }) => name === "UDP")?.verdict, "note");
}, { ...LIMIT, skip: withoutNamespaces() });

test("doctor: a machine that only the local network knows", async () => {
  const { stdout, stderr } = await runProgram("tests/cli/local_network_program.ts", { within: UNSHARE });
  assert.equal(stderr, "");
  const { verdict, rungs, sentence, exitCode }: Report = JSON.parse(stdout);
  assert.deepEqual([verdict, exitCode], ["well", 0], stdout);
  const found = rungs.find(({ name }) => name === "local network");
  assert.match(found!.detail, /^the machine is at 10\.77\.0\.1:\d+, and is dialed there first$/);
  assert.match(
    sentence,
    /^robot\.example can be reached over WebRTC, and answers in [\d.]+ ms; see name\.$/,
  );
}, { ...LIMIT, skip: withoutNamespaces() });

test("doctor: a permission that Deno lacks", async () => {
  await using machine = await startMachine({ auth: "none" });
  const run = async (...permissions: string[]) =>
    reportOf(await runCommandProcess(["doctor", machine.address, "--insecure", "--json"], { permissions }));
  const env = "--allow-env=VIAM_ADDRESS,VIAM_API_KEY,VIAM_API_KEY_ID";
  if (runtime !== "deno") {
    const [first] = (await run()).rungs;
    assert.deepEqual([first?.name, first?.verdict, first?.detail], [
      "permissions",
      "ok",
      `${runtime} forbids nothing`,
    ]);
    return;
  }
  assertIll(
    await run("--allow-net", env),
    "permissions",
    "Deno does not permit ffi to load the WebRTC engine, read to find the WebRTC engine; run it with --allow-ffi " +
      "--allow-read, or use --direct.",
    5,
  );
  assertIll(
    await run("--allow-ffi", "--allow-read"),
    "permissions",
    "Deno does not permit net to reach anything; run it with --allow-net.",
    5,
  );
}, LIMIT);
