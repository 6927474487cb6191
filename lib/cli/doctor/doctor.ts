import type { DescMethodUnary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ViamChannel } from "../../channel/channel.ts";
import type { Address } from "../../core/net/address.ts";
import { joinHostPort } from "../../core/net/address.ts";
import { chooseIceServers, type IceConfiguration } from "../../core/ice/ice.ts";
import {
  describeTarget,
  type DialPlan,
  localNameOf,
  looksLocally,
  planDial,
  type Target,
} from "../../core/dial/plan.ts";
import type { TimelineEntry } from "../../core/dial/timeline.ts";
import { dial } from "../../dial/dial.ts";
import { missingMdnsPermission } from "../../mdns/mdns.ts";
import { findOnLocalNetwork } from "../../mdns/mdns_lookup.ts";
import type { DialContext } from "../../dial/context.ts";
import { authorize, type ReachedServer, reachServer, tlsOfMachine, transportTo } from "../../dial/server.ts";
import { AuthenticationError, DialError, DialPermissionError, HostOfflineError } from "../../errors.ts";
import type { DialOptions, TlsOptions } from "../../options/dial_options.ts";
import { type ResolvedDialOptions, resolveDial } from "../../options/resolve.ts";
import { rawMethod } from "../../rpc/raw_method.ts";
import type { Authorization } from "../../rpc/authorization.ts";
import { createTimeline } from "../../dial/timeline.ts";
import { fetchSignalingConfig, NoSignalerError } from "../../webrtc/signaling_client.ts";
import { UsageError } from "../arguments.ts";
import type { Run } from "../command.ts";
import { addressOf, describeEvent, dialOptionsOf } from "../dial_command.ts";
import { EXIT } from "../exit_code.ts";
import { describePath } from "../ping.ts";
import { showProgress } from "../progress.ts";
import type { Terminal } from "../terminal.ts";
import { type ChannelEvidence, diagnose, explainChannel } from "./diagnosis.ts";
import { checkStun, checkTurn, checkUdp, type ServersFound } from "./ice_servers.ts";
import { createLadder, type Ladder, type Rung, type Step } from "./ladder.ts";
import { checkPermissions } from "./permissions.ts";
import { checkClock, checkTls, connectTcp, resolveName, silent, wantsClientCertificate } from "./reach.ts";

/** How long a step may take, in milliseconds; the dial itself has its own time. */
const STEP_TIMEOUT_MS = 5_000;

/** Finds out why a machine cannot be reached. */
export const doctor: Run = async (args, terminal) => {
  const [typed, extra] = args.positionals;
  if (extra !== undefined) {
    throw new UsageError(`doctor takes one address, not ${JSON.stringify(extra)} as well`);
  }
  const given = addressOf(typed, terminal);
  const options = await dialOptionsOf(args, terminal);
  const { address, options: resolved } = resolveDial(given, options);
  const plan = planDial(address, resolved);
  const json = args.has("json");
  let progress = showProgress(terminal, "looking");
  const rungs: Rung[] = [];
  const start = () =>
    createLadder(Math.min(STEP_TIMEOUT_MS, resolved.timeoutMs), terminal.signal, async (rung) => {
      progress.end();
      rungs.push(rung);
      if (!json) await terminal.write(formatRung(rung));
      progress = showProgress(terminal, "looking on");
    });
  const patient: Patient = {
    given,
    address,
    entity: resolved.authEntity ?? address.authority,
    plan,
    options,
    resolved,
    ladder: start(),
    anew: start,
    say: (text) => {
      if (args.has("verbose")) terminal.warn(text);
    },
  };
  if (!json) await terminal.write(`${given}: ${describePlan(plan)}\n\n`);
  let examined: Examined;
  try {
    examined = await examine(patient, terminal);
  } finally {
    progress.end();
  }
  const diagnosis = diagnose(given, rungs, examined.path, examined.answerMs);
  await terminal.write(
    json
      ? `${JSON.stringify({ address: given, plan: describePlan(plan), rungs, ...diagnosis })}\n`
      : `\n${diagnosis.sentence}\n`,
  );
  return diagnosis.exitCode;
};

interface Patient {
  readonly given: string;
  readonly address: Address;
  readonly entity: string;
  readonly plan: DialPlan;
  readonly options: DialOptions;
  readonly resolved: ResolvedDialOptions;
  readonly ladder: Ladder;
  /** Another ladder, for what goes on although a step has failed. */
  readonly anew: () => Ladder;
  readonly say: (text: string) => void;
}

interface Examined {
  readonly path?: ViamChannel["path"];
  readonly answerMs?: number;
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

/** Takes every step. */
async function examine(patient: Patient, terminal: Terminal): Promise<Examined> {
  const { plan, ladder, resolved } = patient;
  await ladder.climb("permissions", () => Promise.resolve(checkPermissions(plan.kind === "webrtc")));
  const local = looksLocally(patient.address, resolved) &&
    await ladder.climb("local network", (signal) => checkLocalNetwork(patient.address, signal)) === true;
  const target = plan.kind === "direct" ? plan.target : plan.signaling;
  const tls = plan.kind === "direct" || plan.ownSignaling ? tlsOfMachine(target, resolved) : resolved.tls;
  const closed = new AbortController();
  const server = await reach(patient, target, tls, closed.signal);
  try {
    let authorization: Authorization | undefined;
    if (server !== undefined) {
      authorization = await ladder.climb(
        "authentication",
        (signal) => checkAuthentication(contextOf(patient, closed.signal), server, signal),
      );
    }
    if (plan.kind === "direct") return await tryDial(patient, terminal, local, undefined);
    const ice = await ladder.climb(
      "signaling",
      (signal) => checkSignaling(patient, plan, server!, authorization, signal),
    );
    if (ice === undefined) return await tryDial(patient, terminal, local, undefined);
    const udp = await ladder.climb("UDP", checkUdp);
    const stun = await ladder.climb("STUN", (signal) => checkStun(ice.endpoints, signal));
    const turn = await ladder.climb("TURN", (signal) => checkTurn(ice.endpoints, resolved.tls, signal));
    const total = (count: (found: ServersFound) => number) =>
      [stun, turn].reduce((sum, found) => sum + (found === undefined ? 0 : count(found)), 0);
    return await tryDial(patient, terminal, local, {
      host: plan.host,
      udp,
      asked: total(({ asked }) => asked),
      answering: total(({ answering }) => answering),
    });
  } finally {
    closed.abort(new DOMException("the doctor is done", "AbortError"));
    await server?.carrier.close();
  }
}

/** Looks whether the machine answers on the local network, where dials go first. */
async function checkLocalNetwork(address: Address, signal: AbortSignal): Promise<Step<boolean>> {
  const flag = missingMdnsPermission();
  if (flag !== undefined) {
    return { verdict: "skipped", detail: `Deno does not permit to look: it takes ${flag}`, result: false };
  }
  try {
    const machine = await findOnLocalNetwork(localNameOf(address)!, signal);
    return machine === undefined ? { verdict: "ok", detail: "the machine is not on it", result: false } : {
      verdict: "ok",
      detail: `the machine is at ${joinHostPort(machine.address, machine.port)}, and is dialed there first`,
      result: true,
    };
  } catch (error) {
    return { verdict: "note", detail: `cannot be searched: ${messageOf(error)}`, result: false };
  }
}

/** From the name to what the port speaks. */
async function reach(
  patient: Patient,
  target: Target,
  tls: TlsOptions,
  closed: AbortSignal,
): Promise<ReachedServer | undefined> {
  const { ladder, resolved } = patient;
  if (target.unixPath === undefined) {
    await ladder.climb("name", (signal) => resolveName(target.hostname, signal));
  }
  await ladder.climb("TCP", (signal) => connectTcp(target, signal));
  const authenticated = resolved.credentials !== undefined || resolved.accessToken !== undefined;
  const downgrade = authenticated
    ? resolved.allowInsecureWithCredsDowngrade
    : resolved.allowInsecureDowngrade;
  await ladder.climb("TLS", (signal) => checkTls(target, tls, { downgrade }, signal));
  const server = await ladder.climb(
    "protocol",
    (signal) => checkProtocol(contextOf(patient, closed), target, tls, signal),
  );
  if (server !== undefined) {
    await ladder.climb("clock", (signal) => checkClock(server.target, tls, signal));
  }
  return server;
}

function contextOf({ given, address, plan, entity, resolved }: Patient, closed: AbortSignal): DialContext {
  return {
    address: given,
    parsed: address,
    plan,
    options: resolved,
    entity,
    timeline: createTimeline(resolved.logger, undefined),
    closed,
    tokens: new Map(),
    reconnecting: false,
  };
}

async function checkProtocol(
  dial: DialContext,
  target: Target,
  tls: TlsOptions,
  signal: AbortSignal,
): Promise<Step<ReachedServer>> {
  const name = describeTarget(target);
  try {
    const server = await reachServer(target, tls, dial, signal);
    const { protocol, httpVersion } = server.carrier.description;
    return { verdict: "ok", detail: `${protocol} over ${httpVersion}`, result: server };
  } catch (error) {
    if (signal.aborted) return silent(name);
    const text = error instanceof ConnectError ? error.rawMessage : messageOf(error);
    if (target.secure && await wantsClientCertificate(target, tls, signal)) {
      return {
        verdict: "failed",
        detail: "a client certificate is required",
        advice: "give one, as --client-cert and --client-key",
        sentence: `${name} wants a client's certificate; give one as --client-cert and --client-key.`,
      };
    }
    return {
      verdict: "failed",
      detail: `no gRPC: ${text}`,
      advice: "check the port: something else answers there",
      sentence: `${name} speaks no gRPC; check the port, since something else answers there.`,
    };
  }
}

async function checkAuthentication(
  dial: DialContext,
  server: ReachedServer,
  signal: AbortSignal,
): Promise<Step<Authorization>> {
  const { options, entity } = dial;
  const { credentials } = options;
  const name = describeTarget(server.target);
  if (credentials === undefined && options.accessToken === undefined) {
    return { verdict: "skipped", detail: "there are no credentials" };
  }
  try {
    const authorization = await authorize(server, dial, signal);
    return {
      verdict: "ok",
      detail: `as ${entity} with ${credentials?.type ?? "a token"}`,
      ...(authorization === undefined ? {} : { result: authorization }),
    };
  } catch (error) {
    const failure = ConnectError.from(error);
    const refused = failure.code === Code.Unauthenticated || failure.code === Code.PermissionDenied;
    if (refused) {
      return {
        verdict: "failed",
        detail: `${name} refuses the credentials of ${entity}: ${failure.rawMessage}`,
        advice: "check the key and its id, and that they are for this machine",
        sentence:
          `${name} refuses the credentials of ${entity}; check the key and its id, and that they are for this machine.`,
        exitCode: EXIT.refused,
      };
    }
    if (failure.code === Code.Unimplemented) {
      return {
        verdict: "failed",
        detail: `${name} takes no credentials`,
        advice: "dial it without",
        sentence: `${name} takes no credentials; dial it without.`,
        exitCode: EXIT.refused,
      };
    }
    return {
      verdict: "failed",
      detail: signal.aborted ? "no answer" : failure.rawMessage,
      sentence: `${name} does not authenticate: ${signal.aborted ? "no answer" : failure.rawMessage}.`,
    };
  }
}

async function checkSignaling(
  patient: Patient,
  plan: DialPlan & { kind: "webrtc" },
  server: ReachedServer,
  authorization: Authorization | undefined,
  signal: AbortSignal,
): Promise<Step<IceConfiguration>> {
  const { resolved } = patient;
  const name = describeTarget(server.target);
  try {
    const config = await fetchSignalingConfig(
      transportTo(server, resolved, authorization),
      plan.host,
      signal,
    );
    const ice = chooseIceServers({
      iceServers: undefined,
      ...resolved.webrtc,
      additional: config.iceServers,
      publicNetwork: plan.publicNetwork,
    });
    const counted = `${ice.endpoints.length} ICE servers`;
    return {
      verdict: ice.remarks.length === 0 ? "ok" : "note",
      detail: [`${name} signals for ${plan.host}; ${counted}`, ...ice.remarks].join("; "),
      result: ice,
    };
  } catch (error) {
    if (error instanceof NoSignalerError) {
      return {
        verdict: "note",
        detail: `${name} does not signal for ${plan.host}, so the machine is dialed directly`,
      };
    }
    const failure = ConnectError.from(error);
    if (failure.code === Code.Unauthenticated || failure.code === Code.PermissionDenied) {
      return {
        verdict: "failed",
        detail: `${name} wants credentials: ${failure.rawMessage}`,
        advice: "set VIAM_API_KEY and VIAM_API_KEY_ID",
        sentence: `${name} wants credentials; set VIAM_API_KEY and VIAM_API_KEY_ID.`,
        exitCode: EXIT.refused,
      };
    }
    const why = signal.aborted ? "no answer" : failure.rawMessage;
    return { verdict: "failed", detail: why, sentence: `${name} does not signal for ${plan.host}: ${why}.` };
  }
}

/** Dials in earnest, and makes a call. */
async function tryDial(
  patient: Patient,
  terminal: Terminal,
  local: boolean,
  evidence: ChannelEvidence | undefined,
): Promise<Examined> {
  const { given, options, say } = patient;
  // On the local network a machine can be reached although the way to its signaling server is not open.
  const ladder = local && patient.ladder.broken !== undefined ? patient.anew() : patient.ladder;
  if (ladder.broken !== undefined) {
    await ladder.climb("dial", () => Promise.resolve({ verdict: "skipped", detail: "" }));
    return {};
  }
  const entries: TimelineEntry[] = [];
  /** What the two ends could try with each other, when they found a way. */
  let candidates = "";
  let channel: ViamChannel | undefined;
  let failure: unknown;
  const began = performance.now();
  try {
    channel = await dial(given, {
      ...options,
      logger: {
        debug(message) {
          if (message.startsWith("candidates")) candidates = `; ${message}`;
        },
      },
      onEvent(event) {
        if (event.type === "progress") entries.push(event.entry);
        say(`${describeEvent(event)}\n`);
      },
    });
  } catch (error) {
    terminal.signal.throwIfAborted();
    failure = error;
  }
  await using _closing = channel;
  const dialMs = performance.now() - began;
  const overWebrtc = channel === undefined || channel.kind === "webrtc";
  if (evidence !== undefined && overWebrtc) {
    await ladder.climb("machine", () => Promise.resolve(judgeAnswer(entries, failure, evidence.host)));
  }
  if (evidence !== undefined && overWebrtc && ladder.broken === undefined) {
    await ladder.climb(
      "data channel",
      () => Promise.resolve(judgeChannel(entries, candidates, failure, evidence)),
    );
  }
  if (ladder.broken === undefined) {
    await ladder.climb("dial", () => Promise.resolve(judgeDial(failure, channel, dialMs)));
  }
  if (channel === undefined) return {};
  const open = channel;
  const answerMs = await ladder.climb("first call", (signal) => firstCall(open, given, signal));
  return { path: open.path, ...(answerMs === undefined ? {} : { answerMs }) };
}

/** Whether the machine took the offer. */
function judgeAnswer(entries: readonly TimelineEntry[], failure: unknown, host: string): Step<true> {
  const answered = entries.find(({ phase, ok, durationMs }) =>
    phase === "signaling" && ok && durationMs !== undefined
  );
  if (answered !== undefined) {
    return {
      verdict: "ok",
      detail: "is online, and answered",
      ms: answered.durationMs!,
      result: true,
    };
  }
  if (failure === undefined) return { verdict: "ok", detail: "is online", result: true };
  if (failure instanceof HostOfflineError) {
    return {
      verdict: "failed",
      detail: `${host} is offline`,
      advice: "check that viam-server runs there and has a network",
      sentence:
        `${host} is offline: the signaling server knows it, and it is not connected; check that viam-server runs there and has a network.`,
    };
  }
  if (failure instanceof DialError && failure.phase === "signaling") {
    return {
      verdict: "failed",
      detail: causeText(failure),
      advice: "check that the machine is online, and start viam-server anew if it is",
      sentence: `${host} does not answer the offer (${
        causeText(failure)
      }); check that viam-server runs there.`,
    };
  }
  return judgeFailure(failure);
}

/** Whether ICE found a way. */
function judgeChannel(
  entries: readonly TimelineEntry[],
  candidates: string,
  failure: unknown,
  evidence: ChannelEvidence,
): Step<true> {
  const opened = entries.findLast(({ phase, ok, durationMs }) =>
    phase === "channel" && ok && durationMs !== undefined
  );
  if (opened !== undefined) {
    return {
      verdict: "ok",
      detail: `${opened.detail}${candidates}`,
      ms: opened.durationMs!,
      result: true,
    };
  }
  if (failure === undefined) return { verdict: "ok", detail: "open", result: true };
  if (failure instanceof DialError && failure.phase === "channel") {
    const tried = entries.findLast(({ phase, detail }) =>
      phase === "channel" && detail.startsWith("candidates")
    );
    return {
      verdict: "failed",
      detail: [causeText(failure), ...tried === undefined ? [] : [tried.detail]].join("; "),
      advice: "let UDP pass, use a TURN server, or dial with --direct",
      sentence: explainChannel(evidence),
    };
  }
  return judgeFailure(failure);
}

function judgeDial(failure: unknown, channel: ViamChannel | undefined, dialMs: number): Step<true> {
  if (channel === undefined) return judgeFailure(failure);
  return {
    verdict: "ok",
    detail: describePath(channel.path),
    ms: dialMs,
    result: true,
  };
}

function judgeFailure(failure: unknown): Step<true> {
  const text = messageOf(failure);
  return {
    verdict: "failed",
    detail: text,
    sentence: `${text}.`,
    exitCode: failure instanceof DialPermissionError
      ? EXIT.forbidden
      : failure instanceof AuthenticationError
      ? EXIT.refused
      : EXIT.unreachable,
  };
}

/** Every machine has it; it has no arguments, and changes nothing. */
const GET_VERSION = rawMethod("/viam.robot.v1.RobotService/GetVersion", "unary") as DescMethodUnary;

async function firstCall(channel: ViamChannel, given: string, signal: AbortSignal): Promise<Step<number>> {
  const began = performance.now();
  try {
    await channel.unary(GET_VERSION, signal, undefined, undefined, {});
  } catch (error) {
    const failure = ConnectError.from(error);
    if (failure.code === Code.Unauthenticated || failure.code === Code.PermissionDenied) {
      return {
        verdict: "failed",
        detail: `${Code[failure.code]}: ${failure.rawMessage}`,
        advice: "set VIAM_API_KEY and VIAM_API_KEY_ID",
        sentence: `${given} wants credentials; set VIAM_API_KEY and VIAM_API_KEY_ID.`,
        exitCode: EXIT.refused,
      };
    }
    // A server without robots is a server, too.
    if (failure.code !== Code.Unimplemented) {
      const why = signal.aborted ? "no answer" : `${Code[failure.code]}: ${failure.rawMessage}`;
      return {
        verdict: "failed",
        detail: why,
        sentence: `${given} was dialed, and the first call failed (${why}); start the machine anew.`,
        exitCode: EXIT.callFailed,
      };
    }
  }
  const result = performance.now() - began;
  return { verdict: "ok", detail: "the machine answers", result };
}

function causeText(failure: DialError): string {
  return failure.cause instanceof Error ? failure.cause.message : failure.message;
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
}
