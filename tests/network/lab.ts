/**
 * Networks made of namespaces on this computer alone. They have no way out, and everything in them is gone when the lab
 * is closed. Names begin with `vd-` and the number of the process, so that a later run finds and removes what a killed
 * one left behind.
 */

import { output } from "../../tools/commands.ts";
import { type Link, startLink } from "./link.ts";

const PREFIX = "vd-";

/** A network namespace: a host of its own. */
export interface Host {
  readonly name: string;
  /** Its name for `ip netns`. */
  readonly namespace: string;
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
  /** The host's link, as a program that shapes it from the first call on. The host keeps its address and its sockets. */
  link(host: Host): Promise<Link>;
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
  /** The number of the link of each host, the last part of the address there, and the namespace at its end. */
  const links = new Map<string, { readonly number: number; readonly last: number; readonly end: string }>();
  const shaped = new Map<string, Promise<Link>>();

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
      namespace: full,
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
    // Linux asks for the hardware address of a host whose link was down three times, a second apart, and that would add up
    // to a second to an outage. Here it asks more often in the same time.
    await ip(
      from,
      ..."ntable change name arp_cache dev".split(" "),
      device,
      "retrans",
      "50",
      "mcast_probes",
      "60",
    );
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
    /** Puts a program with a device at each end in the place of a cable. */
    const replaceCable = async (host: Host): Promise<Link> => {
      const { number, last, end } = links.get(host.name)!;
      const address = `10.77.${number}.${last}`;
      const [near, far] = [`near-${number}`, `far-${number}`] as const;
      const started = startLink(router.start, [near, far]);
      shaped.set(host.name, started);
      const link = await started;
      await ip(routerName, "link", "delete", port(host));
      for (const [device, name, to] of [[near, "wan", end], [far, port(host), routerName]] as const) {
        if (to === end) await ip(routerName, "link", "set", device, "netns", to);
        await ip(to, "link", "set", device, "name", name);
        await ip(to, "address", "add", `${to === end ? address : gateway(address)}/24`, "dev", name);
        await ip(to, "link", "set", name, "up");
      }
      await ip(end, "route", "replace", "default", "via", gateway(address));
      return link;
    };

    let lans = 0;
    const lab: Lab = {
      router,
      async host(name, { translated = false } = {}) {
        const number = links.size + 1;
        const end = `${prefix}-${name}${translated ? "-nat" : ""}`;
        links.set(name, { number, last: 2, end });
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
        const { number, last, end } = links.get(host.name)!;
        links.set(host.name, { number, last: last + 1, end });
        const next = hostOf(full(host), host.name, `10.77.${number}.${last + 1}`);
        await ip(full(host), "address", "flush", "dev", "wan");
        await ip(full(host), "address", "add", `${next.address}/24`, "dev", "wan");
        await ip(full(host), "route", "add", "default", "via", gateway(next.address));
        return next;
      },
      async link(host) {
        return await (shaped.get(host.name) ?? replaceCable(host));
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
