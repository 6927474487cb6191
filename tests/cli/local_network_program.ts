/** Has the doctor look at a machine that only the local network knows, in a network namespace of its own. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { processTerminal, runCommandLine } from "../../lib/cli/mod.ts";
import { startMachine } from "../../lib/testing/mod.ts";
import { makeCertificates } from "../certificates.ts";

for (
  const command of [
    "ip link set lo up",
    "ip link add one type veth peer name other",
    "ip address add 10.77.0.1/24 dev one",
    "ip link set one up",
    "ip link set other up",
    "ip route add default dev one",
  ]
) {
  const [program, ...args] = command.split(" ");
  execFileSync(program!, args, { env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` } });
}
const NAME = "robot.example";
const certificates = await makeCertificates({ names: [NAME] });
const machine = await startMachine({ hostname: "10.77.0.1", auth: "none", tls: certificates, mdns: [NAME] });
const ca = join(certificates.folder, "ca.pem");
const exitCode = await runCommandLine(
  ["doctor", NAME, "--ca", ca, "--json", "--timeout", "8000"],
  processTerminal(),
);
await machine.close();
await certificates.remove();
process.exit(exitCode);
