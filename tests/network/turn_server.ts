/** A TURN server for the lab: coturn, from Debian. */

import type { Host } from "./lab.ts";

/** The settings of a TURN server. */
export interface TurnOptions {
  readonly username: string;
  readonly credential: string;
  /** A folder with `cert.pem` and `key.pem`; without it, there is no TURN over TLS. */
  readonly certificates?: string;
  /** The port for UDP and TCP, 3478 by default; TLS uses `tlsPort`, 443 by default. */
  readonly port?: number;
  readonly tlsPort?: number;
}

/** A running TURN server. */
export interface TurnServer extends AsyncDisposable {
  /** Its output so far. */
  log(): string;
  /** Kills it, and starts it again. */
  restart(): Promise<void>;
}

/** Starts coturn on a host, and waits until it listens. */
export async function startTurnServer(host: Host, options: TurnOptions): Promise<TurnServer> {
  const { username, credential, certificates, port = 3478, tlsPort = 443 } = options;
  const folder = await Deno.makeTempDir({ prefix: "viam-dial-turn-" });
  const configuration = [
    `listening-ip=${host.address}`,
    `relay-ip=${host.address}`,
    `listening-port=${port}`,
    `realm=viam-dial.example`,
    "lt-cred-mech",
    "fingerprint",
    `user=${username}:${credential}`,
    `pidfile=${folder}/pid`,
    `userdb=${folder}/users.db`,
    "no-cli",
    "no-dtls",
    "no-rfc5780",
    "allow-loopback-peers",
    "log-file=stdout",
    "simple-log",
    "verbose",
    ...certificates === undefined
      ? ["no-tls"]
      : [`tls-listening-port=${tlsPort}`, `cert=${certificates}/cert.pem`, `pkey=${certificates}/key.pem`],
  ];
  await Deno.writeTextFile(`${folder}/turnserver.conf`, configuration.join("\n"));
  let log = "";
  let child: Deno.ChildProcess | undefined;
  let reading: Promise<unknown> = Promise.resolve();

  async function start(): Promise<void> {
    child = host.start("turnserver", ["-c", `${folder}/turnserver.conf`], {
      stdin: "null",
      stdout: "piped",
      stderr: "null",
      cwd: folder,
    });
    const { stdout } = child;
    reading = (async () => {
      for await (
        const text of stdout.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
      ) {
        log += text;
      }
    })();
    const wanted = [port, ...certificates === undefined ? [] : [tlsPort]];
    const until = performance.now() + 20_000;
    for (;;) {
      const listening = await host.run("ss", "-Hltn");
      if (wanted.every((one) => listening.includes(`:${one} `))) return;
      if (performance.now() > until) throw new Error(`coturn does not listen on ${wanted}\n${log}`);
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
    await reading;
  }

  const server: TurnServer = {
    log: () => log,
    async restart() {
      await stop();
      await start();
    },
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
