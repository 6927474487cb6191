/** Proxies for the lab, from Debian: squid for HTTP, microsocks for SOCKS5. */

import { output } from "../../tools/commands.ts";
import type { Host } from "./lab.ts";

/** A user of a proxy. */
export interface ProxyUser {
  readonly username: string;
  readonly password: string;
}

/** A running proxy. */
export interface ProxyServer extends AsyncDisposable {
  /** Its URL, with its user. */
  readonly url: string;
  /** Kills it, and starts it again. */
  restart(): Promise<void>;
  /** The connections it was asked for, one a line; of squid alone. */
  log(): Promise<string>;
}

/** The command of each kind of proxy. */
interface ProxyProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly scheme: string;
  readonly port: number;
}

/** Writes squid's configuration: everybody, or its one user, may connect anywhere, and nothing is kept. */
async function squid(host: Host, folder: string, user: ProxyUser | undefined): Promise<ProxyProgram> {
  const users = `${folder}/users`;
  if (user !== undefined) {
    const hashed = await output("openssl", ["passwd", "-apr1", user.password]);
    await Deno.writeTextFile(users, `${user.username}:${hashed.trim()}\n`);
  }
  const configuration = [
    `http_port ${host.address}:3128`,
    ...user === undefined ? ["http_access allow all"] : [
      `auth_param basic program /usr/lib/squid/basic_ncsa_auth ${users}`,
      "auth_param basic children 1",
      "acl known proxy_auth REQUIRED",
      "http_access allow known",
      "http_access deny all",
    ],
    `access_log stdio:${folder}/access.log`,
    `cache_log ${folder}/cache.log`,
    `pid_filename ${folder}/pid`,
    `coredump_dir ${folder}`,
    "cache deny all",
    "pinger_enable off",
    "shutdown_lifetime 0 seconds",
    "logfile_rotate 0",
  ];
  await Deno.writeTextFile(`${folder}/squid.conf`, `${configuration.join("\n")}\n`);
  // squid gives root's rights up for those of this user.
  await output("chown", ["-R", "proxy", folder]);
  return { command: "squid", args: ["-N", "-f", `${folder}/squid.conf`], scheme: "http", port: 3128 };
}

function microsocks(host: Host, user: ProxyUser | undefined): ProxyProgram {
  const login = user === undefined ? [] : ["-u", user.username, "-P", user.password];
  const args = ["-i", host.address, "-p", "1080", ...login];
  return { command: "microsocks", args, scheme: "socks5h", port: 1080 };
}

/** Starts a proxy on a host, and waits until it listens. */
export async function startProxyServer(
  host: Host,
  kind: "http" | "socks5",
  user?: ProxyUser,
): Promise<ProxyServer> {
  // Not in the lab's own folder, which squid's user may not enter.
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "viam-dial-proxy-" });
  const { command, args, scheme, port } = kind === "http"
    ? await squid(host, folder, user)
    : microsocks(host, user);
  let child: Deno.ChildProcess | undefined;

  async function start(): Promise<void> {
    child = host.start(command, args, { stdin: "null", stdout: "null", stderr: "null" });
    const until = performance.now() + 20_000;
    while (!(await host.run("ss", "-Hltn")).includes(`:${port} `)) {
      if (performance.now() > until) throw new Error(`${command} does not listen on ${port}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async function stop(): Promise<void> {
    try {
      child?.kill("SIGKILL");
    } catch {
      // Gone by itself.
    }
    await child?.status;
    await Deno.remove(`${folder}/pid`).catch(() => {});
  }

  const encode = encodeURIComponent;
  const login = user === undefined ? "" : `${encode(user.username)}:${encode(user.password)}@`;
  const server: ProxyServer = {
    url: `${scheme}://${login}${host.address}:${port}`,
    async restart() {
      await stop();
      await start();
    },
    log: () => Deno.readTextFile(`${folder}/access.log`).catch(() => ""),
    async [Symbol.asyncDispose]() {
      await stop();
      await Deno.remove(folder, { recursive: true });
    },
  };
  try {
    await start();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}
