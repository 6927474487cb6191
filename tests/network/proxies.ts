/** Scenarios of a network that lets programs out through a proxy alone. */

import type { Program } from "./program.ts";
import { type ProxyServer, type ProxyUser, startProxyServer } from "./proxy_servers.ts";
import { type Cells, duration, leave, must, type Scenario, type Setting, type Table } from "./scenario.ts";
import { CLIENT, forwarding, MACHINE_NAME, type World } from "./world.ts";

export const PROXIES: Table = {
  id: "proxies",
  title: "Through a proxy",
  text:
    `Where programs are let out through a proxy alone, everything over TCP goes through it, TURN over TCP and TLS included.

The option \`proxy\` names the proxy, or else the environment: \`HTTPS_PROXY\` for connections with TLS, \`HTTP_PROXY\` for those
without, \`ALL_PROXY\` for both. \`NO_PROXY\` lists what to reach without a proxy, separated by commas: a name, which includes
its subdomains, or an address, each with or without a port; a block of addresses such as \`10.0.0.0/8\`; or \`*\` for
everything. Variables may be in small letters or capitals; if both are set, the small letters count.

Some connections never go through a proxy: those to this computer, to link-local addresses, to \`.local\` names, to Unix
sockets and to what multicast DNS finds.

- \`http://user:password@host:port\` asks by \`CONNECT\`, also for connections without TLS. Many proxies allow that to port 443
  alone. \`https://\` speaks TLS with the proxy itself.
- \`socks5://\` resolves names here, \`socks5h://\` at the proxy.
- UDP does not pass a proxy. Where no UDP gets out, use a TURN server over TLS on port 443.
- A proxy over HTTP gets a user and a password by the Basic scheme alone.
- Deno reads the environment only where \`--allow-env\` is granted already; nobody is asked for it.

In each row the router drops every packet of the client that is not for the proxy: squid for HTTP, microsocks for SOCKS5.
The client makes a call of each of the four kinds.`,
  columns: ["dialed in", "path", "seen", "left behind"],
};

/** Every character that is special in a URL or a header; squid takes no colon in a name. */
const USER: ProxyUser = { username: "lab user@x/+", password: "s3cret:@/?#%&= +[]" };

/** Lets the client reach the proxy, and counts what it sends elsewhere. */
function onlyThe(proxy: string): string {
  return forwarding(
    `iifname to-${CLIENT} ip daddr ${proxy} accept`,
    `iifname to-${CLIENT} counter drop`,
  );
}

/** The packets of the client that were not for the proxy. */
async function sentAround({ lab }: World): Promise<number> {
  const rules = await lab.router.run("nft", "list", "table", "ip", "lab");
  return Number(/counter packets (\d+) bytes \d+ drop/.exec(rules)?.[1] ?? NaN);
}

/** A client that only a proxy lets out. */
interface Behind extends AsyncDisposable {
  readonly world: World;
  readonly proxy: ProxyServer;
  readonly client: Program;
}

async function behindProxy(
  setting: Setting,
  kind: "http" | "socks5",
  user: ProxyUser | undefined,
  env: Readonly<Record<string, string>> = {},
): Promise<Behind> {
  const world = await setting.world({ turn: true });
  const host = await world.lab.host("proxy");
  const proxy = await startProxyServer(host, kind, user);
  try {
    await world.lab.router.filter(onlyThe(host.address));
    const client = await world.startClient(undefined, {
      HTTPS_PROXY: proxy.url,
      HTTP_PROXY: proxy.url,
      ...env,
    });
    return { world, proxy, client, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() };
  } catch (error) {
    await proxy[Symbol.asyncDispose]();
    throw error;
  }
}

/** Checks that no list of processes and no report of the dial has the password. */
async function keepsSecret({ world, client }: Behind, ...reports: unknown[]): Promise<void> {
  const pids = (await world.client.run(
    "ip",
    "netns",
    "pids",
    await world.client.run("ip", "netns", "identify")
      .then((name) => name.trim()),
  )).trim().split("\n");
  must(pids.includes(String(client.pid)), `the client ${client.pid} is not among ${pids}`);
  for (const pid of pids) {
    const line = await Deno.readTextFile(`/proc/${pid}/cmdline`).catch(() => "");
    must(!line.includes(USER.password), `the password is in the arguments of ${pid}`);
  }
  const text = JSON.stringify(reports);
  for (
    const secret of [
      USER.password,
      encodeURIComponent(USER.password),
      btoa(`${USER.username}:${USER.password}`),
    ]
  ) {
    must(!text.includes(secret), `the password is in ${text}`);
  }
}

function overWebrtc(kind: "http" | "socks5", user: ProxyUser | undefined, quick: boolean): Scenario {
  const name = `${kind === "http" ? "HTTP" : "SOCKS5"}${
    user === undefined ? "" : " with a password"
  }, WebRTC`;
  return {
    table: PROXIES.id,
    name,
    quick,
    async run(setting: Setting): Promise<Cells> {
      await using behind = await behindProxy(setting, kind, user);
      const { world, client } = behind;
      const dialed = await client.ask("dial", { address: MACHINE_NAME, options: world.options() });
      must(dialed.path.kind === "relay", `the path is ${dialed.path.kind}`);
      const kinds = await client.ask("kinds");
      must(kinds.length === 4, `only ${kinds} worked`);
      const { events } = await client.ask("outcomes");
      await keepsSecret(behind, dialed, events);
      return [duration(dialed.tookMs), dialed.path.kind, "", await leave(client)];
    },
  };
}

const RESTART: Scenario = {
  table: PROXIES.id,
  name: "the proxy is started again",
  quick: false,
  async run(setting: Setting): Promise<Cells> {
    await using behind = await behindProxy(setting, "http", USER);
    const { world, client, proxy } = behind;
    const options = { ...world.options(), maxReconnectAttempts: 10 };
    const { tookMs, path } = await client.ask("dial", { address: MACHINE_NAME, options });
    await client.ask("kinds");
    const reconnected = client.ask("reconnection");
    await proxy.restart();
    const back = performance.now();
    await reconnected;
    const againMs = performance.now() - back;
    const kinds = await client.ask("kinds");
    must(kinds.length === 4, `only ${kinds} worked`);
    const { events } = await client.ask("outcomes");
    await keepsSecret(behind, events);
    return [
      duration(tookMs),
      path.kind,
      `connected again ${duration(againMs)} after the proxy is back`,
      await leave(client),
    ];
  },
};

const RELAY: Scenario = {
  table: PROXIES.id,
  name: "`forceRelay` with a way around the proxy",
  quick: true,
  async run(setting: Setting): Promise<Cells> {
    await using behind = await behindProxy(setting, "http", USER);
    const { world, client } = behind;
    const options = world.options({ forceRelay: true, turnUri: world.turnUrls.tls });
    const { tookMs, path } = await client.ask("dial", { address: MACHINE_NAME, options });
    must(path.kind === "relay", `the path is ${path.kind}`);
    const kinds = await client.ask("kinds");
    must(kinds.length === 4, `only ${kinds} worked`);
    const left = await leave(client);
    const around = await sentAround(world);
    must(around === 0, `${around} packets went around the proxy`);
    return [duration(tookMs), path.kind, "no packet went around it", left];
  },
};

const DIRECT: Scenario = {
  table: PROXIES.id,
  name: "a direct dial over TLS, and the same host in `NO_PROXY`",
  quick: true,
  async run(setting: Setting): Promise<Cells> {
    const address = "10.77.3.2:443";
    await using behind = await behindProxy(setting, "http", USER);
    const { world, client, proxy } = behind;
    must(address === `${world.signaling.address}:443`, `the server is ${world.signaling.address}`);
    const options = { ...world.options(), disableWebrtc: true };
    const { tookMs, path } = await client.ask("dial", { address, options });
    const kinds = await client.ask("kinds");
    must(kinds.length === 4, `only ${kinds} worked`);
    const left = await leave(client);
    const before = await proxy.log();
    must(before.includes(`CONNECT ${address}`), `the proxy was not asked for ${address}:\n${before}`);
    must(await sentAround(world) === 0, "packets went around the proxy");
    const excepted = await world.startClient(undefined, { HTTPS_PROXY: proxy.url, NO_PROXY: "10.77.3.0/24" });
    const refused = await excepted.ask("dialInVain", { address, options: { ...options, timeoutMs: 1_500 } });
    await keepsSecret({ ...behind, client: excepted }, refused);
    must(await sentAround(world) > 0, "nothing went around the proxy");
    await world.lab.router.filter("");
    await excepted.ask("dial", { address, options });
    must((await excepted.ask("kinds")).length === 4, "not every call worked");
    await leave(excepted);
    must(await proxy.log() === before, "the proxy was asked although NO_PROXY excepts the host");
    return [duration(tookMs), path.kind, "`NO_PROXY` is honoured", left];
  },
};

export const PROXY_SCENARIOS: readonly Scenario[] = [
  overWebrtc("http", undefined, false),
  overWebrtc("http", USER, true),
  overWebrtc("socks5", undefined, false),
  overWebrtc("socks5", USER, true),
  RESTART,
  RELAY,
  DIRECT,
];
