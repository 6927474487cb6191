/** The requirements of the network lab: programs and permissions of this computer. */

import { output } from "../../tools/commands.ts";
import { missing as missingTool } from "../interop/requirements.ts";

/** A program, and the Debian package that has it. */
const PROGRAMS: readonly (readonly [program: string, debianPackage: string])[] = [
  ["ip", "iproute2"],
  ["nft", "nftables"],
  ["turnserver", "coturn"],
  ["squid", "squid"],
  ["microsocks", "microsocks"],
  ["ss", "iproute2"],
  ["sysctl", "procps"],
  ["openssl", "openssl"],
];

/** Debian's folders for programs that only root needs; they are not on everybody's `PATH`. */
const ADMINISTRATION = ["/usr/sbin", "/sbin"];

/** Makes `ip` and `nft` findable for this process and its children. */
export function extendPath(): void {
  const path = (Deno.env.get("PATH") ?? "").split(":");
  const added = ADMINISTRATION.filter((folder) => !path.includes(folder));
  Deno.env.set("PATH", [...path, ...added].join(":"));
}

/** Lists what is missing, one line each; nothing when the lab can be built. */
export async function missing(): Promise<string[]> {
  const absent: string[] = [];
  if (Deno.build.os !== "linux") return ["Linux: the lab is made of network namespaces"];
  if (Deno.uid() !== 0) absent.push("root: network namespaces and packet filters are made by root alone");
  for (const [program, debianPackage] of missingPrograms()) {
    absent.push(`the program ${program}, of the Debian package ${debianPackage}`);
  }
  const go = missingTool("go");
  if (go !== undefined) absent.push(`Go: the lab ${go}`);
  if (absent.length > 0) return absent;
  // Programs may exist and still lack permission, as in most containers.
  const trial = `vd-${Deno.pid}-try`;
  try {
    await output("ip", ["netns", "add", trial]);
    await output("ip", ["-n", trial, "tuntap", "add", "trial0", "mode", "tun"])
      .catch(() => absent.push("the device /dev/net/tun"));
    await output("ip", ["netns", "exec", trial, "nft", "add", "table", "ip", "trial"])
      .catch(() => absent.push("nftables in the kernel"));
  } catch {
    absent.push("the right to make network namespaces (CAP_SYS_ADMIN, CAP_NET_ADMIN)");
  } finally {
    await output("ip", ["netns", "delete", trial]).catch(() => {});
  }
  return absent;
}

/** Installs the Debian packages of missing programs. Does nothing when there are none. */
export async function install(): Promise<void> {
  const packages = [...new Set(missingPrograms().map(([, debianPackage]) => debianPackage))];
  if (packages.length === 0 || Deno.uid() !== 0 || !isInstalled("apt-get")) return; // `missing` says what follows
  console.log(`Installing ${packages.join(", ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [["update"], ["install", "-y", "--no-install-recommends", ...packages]]) {
    const { success, stderr } = await new Deno.Command("apt-get", {
      args,
      env,
      stdin: "null",
      stdout: "null",
    })
      .output();
    if (!success) throw new Error(`apt-get ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
  // Debian starts the servers that it installs; the lab runs its own instead.
  for (const server of ["coturn", "squid"]) {
    if (!packages.includes(server) || !isInstalled("systemctl")) continue;
    await output("systemctl", ["disable", "--now", server]).catch(() => {}); // no systemd runs here
  }
}

function missingPrograms() {
  return PROGRAMS.filter(([program]) => !isInstalled(program));
}

function isInstalled(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}
