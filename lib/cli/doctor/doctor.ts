import type { ViamChannel } from "../../channel/channel.ts";
import { joinHostPort } from "../../core/net/address.ts";
import { type DialPlan, firstServer, localNameOf, looksLocally } from "../../core/dial/plan.ts";
import { describeTarget } from "../../core/net/target.ts";
import { describeRoundTrips } from "../../core/dial/round_trips.ts";
import type { TimelineEntry } from "../../core/dial/timeline.ts";
import { checkClientCertificate } from "../../dial/client_certificate.ts";
import { type DialContext, planned } from "../../dial/context.ts";
import { dial } from "../../dial/dial.ts";
import { mayDowngrade, type ReachedServer, tlsOfOthers, tlsOfPlan } from "../../dial/server.ts";
import { createTimeline } from "../../dial/timeline.ts";
import { missingMdnsPermission } from "../../mdns/mdns.ts";
import { findOnLocalNetwork } from "../../mdns/mdns_lookup.ts";
import type { DialOptions } from "../../options/dial_options.ts";
import { resolveDial } from "../../options/resolve.ts";
import { oneAddress } from "../arguments.ts";
import type { Run } from "../command.ts";
import { addressOf, describeEvent, dialOptionsOf } from "../dial_command.ts";
import { messageOf } from "../error_text.ts";
import { describePath, describeWire } from "../ping.ts";
import { showProgress } from "../progress.ts";
import { checkClock } from "./clock.ts";
import { diagnose } from "./diagnosis.ts";
import { type DialEvidence, judgeAnswer, judgeChannel, judgeFailure } from "./dial_judgement.ts";
import { checkAuthentication, checkFirstCall, checkProtocol, checkSignaling } from "./grpc_server.ts";
import { checkStun, checkTurn, checkUdp } from "./ice_servers.ts";
import { createLadder, type Ladder, type Rung, type Step } from "./ladder.ts";
import { checkPermissions } from "./permissions.ts";
import { connectTcp, connectThroughProxy, type ProxiedTarget, resolveName } from "./tcp.ts";
import { checkTls } from "./tls.ts";

/** Bounds each step, in milliseconds; the dial itself has its own timeout. */
const STEP_TIMEOUT_MS = 5_000;

/** Finds out why a machine cannot be reached. */
export const doctor: Run = async (args, terminal) => {
  const given = addressOf(oneAddress("doctor", args), terminal);
  const options = await dialOptionsOf(args, terminal);
  const resolved = resolveDial(given, options);
  const { logger, timeoutMs, tls } = resolved.options;
  await checkClientCertificate(tls);
  const closed = new AbortController();
  const shared = planned(resolved, closed.signal);
  const plan = describePlan(shared.plan);
  const json = args.has("json");
  let progress = showProgress(terminal, "looking");
  const rungs: Rung[] = [];
  const start = () =>
    createLadder(Math.min(STEP_TIMEOUT_MS, timeoutMs), terminal.signal, async (rung) => {
      progress.end();
      rungs.push(rung);
      if (!json) await terminal.write(formatRung(rung));
      progress = showProgress(terminal, "looking on");
    });
  const patient: Patient = {
    options,
    context: { ...shared, timeline: createTimeline(logger, undefined), reconnecting: false },
    ladder: start(),
    anew: start,
    say: (text) => {
      if (args.has("verbose")) terminal.warn(text);
    },
    interrupted: terminal.signal,
  };
  if (!json) await terminal.write(`${given}: ${plan}\n\n`);
  let examined: Examined;
  try {
    examined = await examine(patient);
  } finally {
    closed.abort(new DOMException("the doctor is done", "AbortError"));
    progress.end();
  }
  const diagnosis = diagnose(given, rungs, examined.path, examined.answerMs);
  await terminal.write(
    json ? `${JSON.stringify({ address: given, plan, rungs, ...diagnosis })}\n` : `\n${diagnosis.sentence}\n`,
  );
  return diagnosis.exitCode;
};

interface Patient {
  readonly options: DialOptions;
  readonly context: DialContext;
  readonly ladder: Ladder;
  /** Makes another ladder, for what goes on although a step failed. */
  readonly anew: () => Ladder;
  readonly say: (text: string) => void;
  readonly interrupted: AbortSignal;
}

interface Examined {
  readonly path?: ViamChannel["path"];
  readonly answerMs?: number | undefined;
}

const TEXTS = { ok: "ok", note: "note", failed: "FAILED", skipped: "-" };

function formatRung({ name, verdict, ms, detail, advice }: Rung): string {
  const time = verdict === "skipped" ? "" : `${ms.toFixed(1)} ms`;
  const line = `${TEXTS[verdict].padEnd(7)} ${name.padEnd(15)} ${time.padStart(10)}  ${detail}\n`;
  return advice === undefined ? line : `${line}${" ".repeat(36)}${advice}\n`;
}

function describePlan(plan: DialPlan): string {
  if (plan.kind === "direct") return `directly, at ${describeTarget(plan.target)} (${plan.reason})`;
  return `over WebRTC, signaling by ${plan.ownSignaling ? "the machine itself, " : ""}${
    describeTarget(plan.signaling)
  }`;
}

/** Takes every step, from the name to the first call. */
async function examine(patient: Patient): Promise<Examined> {
  const { ladder, context } = patient;
  const { plan, options, proxyFor } = context;
  await ladder.climb("permissions", () => checkPermissions(plan));
  const local = looksLocally(context.parsed, options) &&
    await ladder.climb("local network", (signal) => checkLocalNetwork(context, signal)) === true;
  const server = await reach(patient);
  try {
    const authorization = server &&
      await ladder.climb("authentication", (signal) => checkAuthentication(context, server, signal));
    if (plan.kind === "direct") return await tryDial(patient, local, undefined);
    const ice = await ladder.climb(
      "signaling",
      (signal) => checkSignaling(context, plan, server!, authorization, signal),
    );
    if (ice === undefined) return await tryDial(patient, local, undefined);
    const udp = await ladder.climb("UDP", checkUdp);
    const stun = await ladder.climb("STUN", (signal) => checkStun(ice.endpoints, signal));
    const turn = await ladder.climb(
      "TURN",
      (signal) => checkTurn(ice.endpoints, tlsOfOthers(options), signal, proxyFor),
    );
    return await tryDial(patient, local, {
      host: plan.host,
      udp,
      asked: (stun?.asked ?? 0) + (turn?.asked ?? 0),
      answering: (stun?.answering ?? 0) + (turn?.answering ?? 0),
    });
  } finally {
    await server?.carrier.close();
  }
}

/** Looks for the machine on the local network, where dials go first. */
async function checkLocalNetwork({ parsed }: DialContext, signal: AbortSignal): Promise<Step<boolean>> {
  const flag = missingMdnsPermission();
  if (flag !== undefined) return { verdict: "skipped", detail: `Deno does not permit it: needs ${flag}` };
  try {
    const machine = await findOnLocalNetwork(localNameOf(parsed)!, signal);
    return machine === undefined ? { verdict: "ok", detail: "the machine is not on it" } : {
      verdict: "ok",
      detail: `the machine is at ${joinHostPort(machine.address, machine.port)}, and is dialed there first`,
      result: true,
    };
  } catch (error) {
    return { verdict: "note", detail: `cannot be searched: ${messageOf(error)}` };
  }
}

/** Takes the steps from the name to what the port speaks. */
async function reach({ ladder, context }: Patient): Promise<ReachedServer | undefined> {
  const { plan, options, proxyFor } = context;
  const first = firstServer(plan);
  const tls = tlsOfPlan(plan, options);
  const target: ProxiedTarget = { ...first, proxy: proxyFor(first) };
  if (target.proxy !== undefined) {
    await ladder.climb("proxy", (signal) => connectThroughProxy(target, signal));
  } else {
    if (target.unixPath === undefined) {
      await ladder.climb("name", (signal) => resolveName(target.hostname, signal));
    }
    await ladder.climb("TCP", (signal) => connectTcp(target, signal));
  }
  await ladder.climb("TLS", (signal) => checkTls(target, tls, mayDowngrade(options), signal));
  const server = await ladder.climb("protocol", (signal) => checkProtocol(context, target, tls, signal));
  if (server !== undefined) {
    await ladder.climb(
      "clock",
      (signal) => checkClock({ ...server.target, proxy: target.proxy }, tls, signal),
    );
  }
  return server;
}

/**
 * Dials, and makes a call.
 *
 * @param network What was found about the network of a WebRTC dial.
 */
async function tryDial(
  patient: Patient,
  local: boolean,
  network: Omit<DialEvidence, "entries" | "failure"> | undefined,
): Promise<Examined> {
  const { context: { address }, options, say, interrupted } = patient;
  // On the local network a machine can be reached although its signaling server cannot.
  const ladder = local && patient.ladder.broken !== undefined ? patient.anew() : patient.ladder;
  if (ladder.broken !== undefined) {
    await ladder.climb("dial", () => ({ verdict: "skipped", detail: "" }));
    return {};
  }
  const entries: TimelineEntry[] = [];
  let channel: ViamChannel | undefined;
  let failure: unknown;
  const began = performance.now();
  try {
    channel = await dial(address, {
      ...options,
      logger: {},
      onEvent(event) {
        if (event.type === "progress") entries.push(event.entry);
        say(`${describeEvent(event)}\n`);
      },
    });
  } catch (error) {
    interrupted.throwIfAborted();
    failure = error;
  }
  await using open = channel;
  const dialMs = performance.now() - began;
  if (network !== undefined && open?.kind !== "direct") {
    const evidence = { entries, failure, ...network };
    await ladder.climb("machine", () => judgeAnswer(evidence));
    await ladder.climb("data channel", () => judgeChannel(evidence));
  }
  await ladder.climb(
    "dial",
    () =>
      open === undefined ? judgeFailure(failure) : {
        verdict: "ok",
        detail: [describePath(open.path), describeRoundTrips(entries)].filter(Boolean).join("; "),
        ms: dialMs,
      },
  );
  if (open === undefined) return {};
  const answerMs = await ladder.climb("first call", (signal) => checkFirstCall(open, address, signal));
  const { connection } = open.getStats();
  if (connection !== undefined) say(`${describeWire(connection)}\n`);
  return { path: open.path, answerMs };
}
