/**
 * Starts a machine and has the doctor look at it, in a network namespace of its own: with `blocked` in one where no
 * UDP packet leaves.
 */
import { execFileSync } from "node:child_process";
import process from "node:process";
import { processTerminal, runCommandLine } from "../../lib/cli/mod.ts";
import { startMachine } from "../../lib/testing/mod.ts";

// Another address than the loopback's, which the engine does not use.
const ADDRESS = "10.77.0.1";
for (
  const command of [
    "ip link set lo up",
    "ip link add one type veth peer name other",
    `ip address add ${ADDRESS}/24 dev one`,
    "ip link set one up",
    "ip link set other up",
    ...process.argv[2] === "blocked"
      ? [
        "nft add table inet test",
        "nft add chain inet test out { type filter hook output priority 0 ; }",
        "nft add rule inet test out meta l4proto udp drop",
      ]
      : [],
  ]
) {
  const [program, ...args] = command.split(" ");
  execFileSync(program!, args, { env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` } });
}
const machine = await startMachine({ hostname: ADDRESS, auth: "none" });
const exitCode = await runCommandLine(
  ["doctor", machine.address, "--insecure", "--json", "--timeout", "6000"],
  processTerminal(),
);
await machine.close();
process.exit(exitCode);
