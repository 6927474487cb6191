/**
 * Measures every subject in turn, round after round, against the machine at the given address, and prints the
 * figures as one line of JSON. Run by `main.ts`, on each runtime.
 */
import process from "node:process";
import { createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { dial } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { handFramedFetch, rawFrames } from "./floors.ts";
import { type Figures, measure, type Subject } from "./subject.ts";

const [address = "", rounds = "5"] = process.argv.slice(2);

function overTransport(transport: Transport, close: () => Promise<void>): Subject {
  const probe = createClient(ProbeService, transport);
  const data = new Uint8Array(64);
  return { unary: () => probe.echo({ data }).then(() => {}), close };
}

async function dialed(disableWebrtc: boolean): Promise<Subject> {
  const channel = await dial(address, { insecure: true, disableWebrtc });
  return overTransport(channel, () => channel.close());
}

const makers: Record<string, () => Promise<Subject>> = {
  "direct": () => dialed(true),
  "hand-framed fetch": () => handFramedFetch(address),
  "connect-node": () =>
    Promise.resolve(
      overTransport(createGrpcTransport({ baseUrl: `http://${address}` }), () => Promise.resolve()),
    ),
  "webrtc": () => dialed(false),
  "raw frames": () => rawFrames(address),
};

const subjects = new Map<string, Subject>();
for (const [name, make] of Object.entries(makers)) {
  const subject = await make();
  for (let call = 0; call < 400; call++) await subject.unary();
  subjects.set(name, subject);
}
const figures: Record<string, Figures[]> = {};
for (let round = 0; round < Number(rounds); round++) {
  for (const [name, subject] of subjects) (figures[name] ??= []).push(await measure(subject));
}
for (const subject of subjects.values()) await subject.close();
console.log(JSON.stringify(figures));
// connect-node keeps its session.
process.exit(0);
