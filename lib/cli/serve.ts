import { isOpenToOthers, joinHostPort } from "../core/net/address.ts";
import { keyPairProblem } from "../direct/key_pair.ts";
import { RUNTIME } from "../runtime/runtime.ts";
import { untilAborted } from "../runtime/wait.ts";
import { type MachineOptions, startMachine } from "../testing/mod.ts";
import { type Arguments, UsageError } from "./arguments.ts";
import type { Run } from "./command.ts";
import { apiKeyOf, readText, VARIABLES } from "./dial_command.ts";
import { EXIT } from "./exit_code.ts";
import { listening } from "./listening.ts";

/** Runs a machine. */
export const serve: Run = async (args, terminal) => {
  if (args.positionals.length > 0) throw new UsageError("serve takes options alone");
  const { apiKey, apiKeyId } = apiKeyOf(terminal);
  const given = apiKey !== undefined && apiKeyId !== undefined;
  const hostname = args.text("hostname");
  const port = args.integer("port", 0, 65_535) ?? 0;
  const starting = startMachine({
    port,
    ...(hostname === undefined ? {} : { hostname }),
    ...(args.has("no-auth")
      ? { auth: "none" }
      : given
      ? { auth: { credentials: [{ type: "api-key", entity: apiKeyId, payload: apiKey }] } }
      : {}),
    ...(args.has("no-webrtc") ? { webrtc: false } : {}),
    ...await tlsOf(args),
  });
  await using machine = await listening(joinHostPort(hostname ?? "127.0.0.1", port), starting);
  // Shows generated credentials, since nobody knows them otherwise; those of the environment are known.
  const secret = given || machine.apiKey === "" ? undefined : machine;
  if (args.has("json")) {
    const { address } = machine;
    const key = secret === undefined ? {} : { apiKey: secret.apiKey, apiKeyId: secret.apiKeyId };
    await terminal.write(`${JSON.stringify({ type: "listening", address, ...key })}\n`);
  } else {
    const lines = [`a machine listens on ${machine.address}`];
    if (secret !== undefined) {
      lines.push(
        `  export ${VARIABLES.address}=${machine.address}`,
        `  export ${VARIABLES.apiKey}=${secret.apiKey} ${VARIABLES.apiKeyId}=${secret.apiKeyId}`,
      );
    }
    const cert = args.text("cert");
    // A certificate that the system trusts needs no settings, but most test certificates are not trusted.
    lines.push(`  viam-dial ping ${cert === undefined ? "--insecure" : `--ca ${cert}`}`);
    await terminal.write(lines.map((line) => `${line}\n`).join(""));
  }
  if (args.has("no-auth") && hostname !== undefined && isOpenToOthers(hostname)) {
    terminal.warn("everybody who can reach this computer may call this machine\n");
  }
  await untilAborted(terminal.signal).catch(() => {});
  return EXIT.ok;
};

async function tlsOf(args: Arguments): Promise<Pick<MachineOptions, "tls">> {
  const cert = args.text("cert");
  const key = args.text("key");
  if (cert === undefined && key === undefined) return {};
  if (cert === undefined || key === undefined) throw new UsageError("--cert and --key go together");
  const tls = { cert: await readText(cert, "cert"), key: await readText(key, "key") };
  // A server accepts any certificate and key, and then fails with every caller.
  const found = keyPairProblem(tls.cert, tls.key, RUNTIME);
  if (found !== undefined) throw new UsageError(`--${found.member} ${found.problem}`);
  return { tls };
}
