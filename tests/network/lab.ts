/**
 * Networks made of namespaces on this computer alone. They have no way out, and everything in them is gone when the lab
 * is closed. Names begin with `vd-` and the number of the process, so that a later run finds and removes what a killed
 * one left behind.
 */

import { output } from "../../tools/commands.ts";

const PREFIX = "vd-";

/** A network namespace: a host of its own. */
export interface Host {
  readonly name: string;
  /** The IPv4 address of the host. */
  readonly address: string;
  /** Runs a program there and returns its standard output; the program must succeed. */
  run(command: string, ...args: string[]): Promise<string>;
  /** Starts a program there. */
  start(
    command: string,
    args: readonly string[],
    options?: Omit<Deno.CommandOptions, "args">,
  ): Deno.ChildProcess;
  /** Replaces the packet filter; an empty text removes it. */
  filter(rules: string): Promise<void>;
  /** Unplugs the host's cable, or plugs it in again. */
  link(state: "up" | "down"): Promise<void>;
}

/** A running lab. */
export interface Lab extends AsyncDisposable {
  /**
   * A host on a link of its own to the router, which connects it to every other one. Behind a translator, its address
   * is private and its packets come from the translator's address.
   */
  host(name: string, options?: { readonly translated?: boolean }): Promise<Host>;
  /** The router: every packet between hosts of different links passes through it. */
  readonly router: Host;
  /** Replaces the address of a host, as a change from one Wi-Fi network to another does. */
  readdress(host: Host): Promise<Host>;
  /** Limits the bandwidth of the host's link, both ways; undefined removes the limit. */
  bandwidth(host: Host, bitsPerSecond: number | undefined): Promise<void>;
  /** Delays packets on the host's link, both ways; undefined ends that. Delays are one way. */
  delay(
    host: Host,
    slow: { readonly delayMs: number; readonly jitterMs: number; readonly loss: number },
  ): Promise<void>;
  /** Another link, on which every host receives what every other sends: no router, no way out. */
  lan(...hosts: readonly Host[]): Promise<void>;
}

let labs = 0;

/** Removes what labs of processes that have ended left behind, and on request this process's own. Returns the names. */
export async function sweep({ own = false } = {}): Promise<string[]> {
  const stale = (await namespaces()).filter((name) => {
    const pid = /^vd-(\d+)-/.exec(name)?.[1];
    if (pid === undefined) return false;
    return Number(pid) === Deno.pid ? own : !exists(`/proc/${pid}`);
  });
  for (const name of stale) await remove(name);
  return stale;
}

/** The namespaces of labs that exist now. */
export async function namespaces(): Promise<string[]> {
  const list = await output("ip", ["netns", "list"]);
  return list.split("\n").map((line) => line.split(" ")[0]!).filter((name) => name.startsWith(PREFIX));
}

async function remove(name: string): Promise<void> {
  const pids = (await output("ip", ["netns", "pids", name]).catch(() => "")).split("\n").filter((pid) =>
    pid !== ""
  );
  for (const pid of pids) {
    try {
      Deno.kill(Number(pid), "SIGKILL");
    } catch {
      // It has gone by itself.
    }
  }
  await output("ip", ["netns", "delete", name]).catch(() => {});
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Builds a lab that has only a router. */
export async function openLab(): Promise<Lab> {
  const prefix = `${PREFIX}${Deno.pid}-${++labs}`;
  const names: string[] = [];
  /** The number of the link of each host, and the last part of its address there. */
  const links = new Map<string, { readonly number: number; readonly last: number }>();

  async function namespace(name: string): Promise<string> {
    const full = `${prefix}-${name}`;
    await output("ip", ["netns", "add", full]);
    names.push(full);
    await output("ip", ["-n", full, "link", "set", "lo", "up"]);
    return full;
  }

  function hostOf(full: string, name: string, address: string): Host {
    const host: Host = {
      name,
      address,
      run: (command, ...args) => output("ip", ["netns", "exec", full, command, ...args]),
      start: (command, args, options = {}) =>
        new Deno.Command("ip", { ...options, args: ["netns", "exec", full, command, ...args] }).spawn(),
      async filter(rules) {
        await host.run("nft", "flush", "ruleset");
        if (rules !== "") await host.run("nft", rules);
      },
      link: (state) =>
        ip(full, "link", "set", "dev", "wan", state).then(async () => {
          // The route was removed with the link.
          if (state === "up") await ip(full, "route", "replace", "default", "via", gateway(address));
        }),
    };
    return host;
  }

  async function ip(full: string, ...args: string[]): Promise<void> {
    await output("ip", ["-n", full, ...args]);
  }

  /** A cable from a device of a gateway to the device `wan` of a host. */
  async function connect(from: string, device: string, to: string, address: string): Promise<void> {
    await output("ip", [
      ...["link", "add", device, "netns", from, "type", "veth"],
      ...["peer", "name", "wan", "netns", to],
    ]);
    await ip(from, "address", "add", `${gateway(address)}/24`, "dev", device);
    await ip(from, "link", "set", device, "up");
    await ip(to, "address", "add", `${address}/24`, "dev", "wan");
    await ip(to, "link", "set", "wan", "up");
    await ip(to, "route", "add", "default", "via", gateway(address));
  }

  /** The kernel takes up to a second to report a link as up, and Bun lists no other. */
  async function isUp(host: Host, device: string): Promise<void> {
    const until = performance.now() + 5_000;
    while (!/ UP /.test(await host.run("ip", "-brief", "link", "show", "dev", device))) {
      if (performance.now() > until) throw new Error(`${device} of ${host.name} does not come up`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  const gateway = (address: string) => address.replace(/\d+$/, "1");
  const full = (host: Host) => `${prefix}-${host.name}`;
  const port = (host: Host) => `to-${links.get(host.name)!.number}`;

  async function close(): Promise<void> {
    for (const name of names.splice(0)) await remove(name);
  }

  try {
    const routerName = await namespace("router");
    const router = hostOf(routerName, "router", "10.77.0.1");
    await router.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
    let lans = 0;
    const lab: Lab = {
      router,
      async host(name, { translated = false } = {}) {
        const number = links.size + 1;
        links.set(name, { number, last: 2 });
        const outer = `10.77.${number}.2`;
        if (!translated) {
          const host = hostOf(await namespace(name), name, outer);
          await connect(routerName, `to-${number}`, full(host), outer);
          return host;
        }
        const box = await namespace(`${name}-nat`);
        await connect(routerName, `to-${number}`, box, outer);
        const host = hostOf(await namespace(name), name, `192.168.${number}.2`);
        await connect(box, "lan", full(host), host.address);
        const inBox = hostOf(box, `${name}-nat`, outer);
        await inBox.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
        await inBox.run(
          "nft",
          "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; " +
            "add rule ip nat out oifname wan masquerade; " +
            "add chain ip nat in { type filter hook forward priority 0; }; " +
            "add rule ip nat in iifname wan ct state new drop; " +
            // Packets that arrive too early have no receiver; tracking them would block later ones.
            "add chain ip nat own { type filter hook input priority 0; }; " +
            "add rule ip nat own iifname wan ct state new drop",
        );
        return host;
      },
      async readdress(host) {
        const { number, last } = links.get(host.name)!;
        links.set(host.name, { number, last: last + 1 });
        const next = hostOf(full(host), host.name, `10.77.${number}.${last + 1}`);
        await ip(full(host), "address", "flush", "dev", "wan");
        await ip(full(host), "address", "add", `${next.address}/24`, "dev", "wan");
        await ip(full(host), "route", "add", "default", "via", gateway(next.address));
        return next;
      },
      async bandwidth(host, bitsPerSecond) {
        for (const [name, device] of [[full(host), "wan"], [routerName, port(host)]] as const) {
          const tc = (...args: string[]) => output("tc", ["-n", name, "qdisc", ...args]);
          if (bitsPerSecond === undefined) await tc("del", "dev", device, "root");
          else {
            const shape = ["rate", `${bitsPerSecond}bit`, "burst", "16kb", "latency", "400ms"];
            await tc("replace", "dev", device, "root", "tbf", ...shape);
          }
        }
      },
      async delay(host, { delayMs, jitterMs, loss }) {
        // The relay makes a device for each of its ends; one goes to the host, one to the router. The host's own
        // address moves to its end, and the cable is left alone.
        const { number } = links.get(host.name)!;
        const relay = router.start("python3", [
          new URL("delay.py", import.meta.url).pathname,
          ...["slow", `slow-${number}`, delayMs, jitterMs, loss].map(String),
        ], { stdout: "piped", stdin: "null" });
        const reader = relay.stdout.getReader();
        const { value } = await reader.read();
        reader.cancel().catch(() => {});
        if (new TextDecoder().decode(value).trim() !== "ready") {
          throw new Error("the delaying relay did not start");
        }
        await ip(routerName, "link", "set", "slow", "netns", full(host));
        await ip(routerName, "address", "flush", "dev", port(host));
        await ip(full(host), "address", "flush", "dev", "wan");
        await ip(full(host), "link", "set", "wan", "down");
        await ip(full(host), "address", "add", `${host.address}/24`, "dev", "slow");
        await ip(full(host), "link", "set", "slow", "up");
        await ip(full(host), "route", "add", "default", "dev", "slow");
        await ip(routerName, "address", "add", `${gateway(host.address)}/24`, "dev", `slow-${number}`);
        await ip(routerName, "link", "set", `slow-${number}`, "up");
      },
      async lan(...hosts) {
        const bridge = await namespace(`lan${++lans}`);
        await ip(bridge, "link", "add", "bridge", "type", "bridge");
        await ip(bridge, "link", "set", "bridge", "up");
        for (const [index, host] of hosts.entries()) {
          await output("ip", [
            ...["link", "add", `port-${index}`, "netns", bridge, "type", "veth"],
            ...["peer", "name", `lan${lans}`, "netns", full(host)],
          ]);
          await ip(bridge, "link", "set", `port-${index}`, "master", "bridge", "up");
          await ip(full(host), "address", "add", `192.168.${76 + lans}.${index + 2}/24`, "dev", `lan${lans}`);
          await ip(full(host), "link", "set", `lan${lans}`, "up");
        }
        for (const host of hosts) await isUp(host, `lan${lans}`);
      },
      [Symbol.asyncDispose]: close,
    };
    return lab;
  } catch (error) {
    await close();
    throw error;
  }
}
