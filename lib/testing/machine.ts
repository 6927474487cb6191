import type { ReportConnectionMetadataRequest } from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import { isOpenToOthers, joinHostPort } from "../core/net/address.ts";
import { chooseIceServers } from "../core/ice/ice.ts";
import { MAX_MESSAGE_BYTES } from "../core/limits.ts";
import { createBackground } from "../runtime/background.ts";
import { RUNTIME } from "../runtime/runtime.ts";
import { toEngineServer } from "../webrtc/turn_servers.ts";
import { createAnswerer } from "./answerer.ts";
import { callerOf, createAuthentication } from "./authentication.ts";
import { CallCounter } from "./call_counter.ts";
import { createChannelServer } from "./channel_server.ts";
import { startCloudAnswerer } from "./cloud_answerer.ts";
import { echoRoutes } from "./echo_service.ts";
import { createFaultGate, type Faults } from "./faults.ts";
import { createHttpHandler } from "../server/http_handler.ts";
import type { Machine, MachineAuth, MachineOptions } from "./machine_options.ts";
import { listenOnOnePort } from "../server/one_port.ts";
import { advertiseMachine } from "./mdns_advertiser.ts";
import { probeRoutes } from "./probe_service.ts";
import { reflectionRoutes } from "./reflection_service.ts";
import { robotRoutes } from "./robot_service.ts";
import { type Methods, recordRoutes, type Routes } from "../server/routes.ts";
import { createSessions } from "./sessions.ts";
import { SignalingQueue } from "./signaling_queue.ts";
import { signalingRoutes } from "./signaling_service.ts";
import type { TokenSigner } from "./token_signer.ts";
import { createWitness } from "./witness.ts";

const GREETING = "I am a machine of viam-dial.";

/** The signers of running machines, for machines that trust them. */
const signers = new WeakMap<Machine, TokenSigner>();

/**
 * Starts a machine in this process: one port with native gRPC, gRPC-Web, authentication and signaling, and WebRTC
 * with the same services on the data channel. To its clients it looks like a real machine.
 *
 * Source: the behaviour of `viam-server`, by goutils' `rpc` package.
 *
 * @param options By default it listens on a free port of 127.0.0.1, without TLS, and has a random API key.
 * @returns The listening machine; `close()` it, or declare it with `await using`.
 * @throws TypeError when an option is invalid; the system's error when it cannot listen
 *
 * @example
 * ```ts
 * import { createClient } from "@connectrpc/connect";
 * import { dial, DialOptions } from "@viam-dial/dial";
 * import { RobotService, startMachine } from "@viam-dial/dial/testing";
 *
 * await using robot = await startMachine();
 * const options = DialOptions.withApiKey(robot.apiKey, robot.apiKeyId, { insecure: true });
 * await using machine = await dial(robot.address, options);
 * console.log((await createClient(RobotService, machine).getVersion({})).platform); // viam-dial
 * ```
 */
export async function startMachine(options: MachineOptions = {}): Promise<Machine> {
  const { hostname = "127.0.0.1", hosts, tls, webrtc = true, iceServers = [], signaling, mdns = [] } =
    options;
  if (mdns.length > 0 && !isOpenToOthers(hostname)) {
    throw new TypeError(`mdns needs a hostname that other hosts reach, such as "0.0.0.0", not ${hostname}`);
  }

  if (!Number.isInteger(options.port ?? 0) || options.port! < 0 || options.port! > 65_535) {
    throw new TypeError(`port must be an integer from 0 to 65535 (got ${JSON.stringify(options.port)})`);
  }

  const ownIceServers = chooseIceServers({
    iceServers: options.ownIceServers ?? [],
    additional: [],
    publicNetwork: false,
  }).endpoints.filter(({ transport }) => transport === "udp").map(toEngineServer);
  const { routes = () => {}, maxMessageBytes = MAX_MESSAGE_BYTES } = options;
  let faults: Faults = options.faults ?? {};
  const counter = new CallCounter();
  const witness = createWitness();
  const reports: ReportConnectionMetadataRequest[] = [];
  const names: string[] = [...hosts ?? [], ...signaling?.hosts ?? []];

  const auth = authOf(options.auth);
  const authentication = auth === undefined ? undefined : createAuthentication({
    ...auth,
    trusted: (auth.trusts ?? []).map(signerOf),
    names: () => names,
    isName: (entity) => hosts === undefined || names.includes(entity),
  });

  const admit = createFaultGate(() => faults, () => dropConnections());

  const sessions = createSessions(
    options.sessions ?? {},
    (context) => context.protocolName === "webrtc" ? names.join(":") : callerOf(context),
    () => faults.dropHeartbeats === true,
  );
  const served = [probeRoutes(witness), echoRoutes, robotRoutes(sessions.methods)];
  const channelMethods = witness.watch(sessions.watch(recordReflected(...served, routes)));
  const makeAnswerer = () =>
    createAnswerer({
      iceServers: ownIceServers,
      serve: (peer, isAnswering) =>
        createChannelServer(peer, {
          isAnswering,
          methods: channelMethods,
          maxMessageBytes,
          onCall: (path) => counter.count("webrtc", path),
          admit,
        }),
    });
  let answerer = makeAnswerer();
  const closingAnswerers = createBackground();

  const queue = new SignalingQueue(webrtc === true ? (offer) => answerer.answer(offer) : undefined);
  const signalingService = signalingRoutes({
    // Machines of any engine may answer at a server that only signals.
    engine: webrtc === true ? "libdatachannel" : undefined,
    queue,
    hosts,
    iceServers,
    faults: () => faults.signaling ?? {},
    onReport: (report) => reports.push(report),
  });

  const port = await listenOnOnePort({
    hostname,
    port: options.port ?? 0,
    tls,
    handler: await createHttpHandler({
      methods: witness.watch(sessions.watch(recordReflected(
        ...served,
        authentication?.routes ?? (() => {}),
        webrtc === false ? () => {} : signalingService,
        routes,
      ))),
      maxMessageBytes,
      onCall: (protocol, path) => counter.count(protocol, path),
      admit,
      authenticate: (context) => authentication?.check(context),
      greeting: GREETING,
    }),
    runtime: RUNTIME,
    silent: () => faults.silent === true && faults.only === undefined,
  });

  const address = joinHostPort(reachable(hostname), port.port);
  names.push(address);

  let stopAnswering: (() => Promise<void>) | undefined;
  let stopAdvertising: (() => Promise<void>) | undefined;
  try {
    if (signaling !== undefined) stopAnswering = startCloudAnswerer(signaling, () => answerer);
    if (mdns.length > 0) {
      stopAdvertising = await advertiseMachine({ names: mdns, port: port.port, webrtc: webrtc === true });
    }
  } catch (error) {
    await Promise.all([port.close(), stopAnswering?.()]);
    throw error;
  }

  function dropConnections(): void {
    if (closing !== undefined) return;
    closingAnswerers.add(answerer.close());
    answerer = makeAnswerer();
    port.drop();
  }

  let closing: Promise<void> | undefined;

  async function stop(): Promise<void> {
    sessions.close();
    closingAnswerers.add(answerer.close());
    queue.close();
    await Promise.all([stopAdvertising?.(), stopAnswering?.(), port.close(), closingAnswerers.over()]);
  }

  const apiKey = auth?.credentials.find(({ type }) => type === "api-key");
  const machine: Machine = {
    address,
    url: `${tls === undefined ? "http" : "https"}://${address}`,
    port: port.port,
    apiKey: apiKey?.payload ?? "",
    apiKeyId: apiKey?.entity ?? "",
    certificate: tls?.cert,
    get calls() {
      return counter.total;
    },
    callsTo: (path) => counter.of(path),
    get connections() {
      return answerer.live;
    },
    reports,
    get faults() {
      return faults;
    },
    set faults(value) {
      faults = value;
    },
    revokeTokens: () => authentication?.signer.revoke(),
    dropConnections,
    get closed() {
      return closing !== undefined;
    },
    close: () => closing ??= stop(),
    [Symbol.asyncDispose]: () => machine.close(),
  };
  if (authentication !== undefined) signers.set(machine, authentication.signer);
  return machine;
}

/** Collects routes, and adds reflection of all of them and of itself. */
function recordReflected(...routes: readonly Routes[]): Methods {
  const methods: Methods = recordRoutes(reflectionRoutes(() => methods), ...routes);
  return methods;
}

/** Returns undefined if everybody may call. */
function authOf(auth: MachineOptions["auth"]): MachineAuth | undefined {
  if (auth === "none") return undefined;
  if (auth !== undefined) return auth;
  const payload = crypto.randomUUID().replaceAll("-", "");
  return { credentials: [{ type: "api-key", entity: crypto.randomUUID(), payload }] };
}

function signerOf(machine: Machine): TokenSigner {
  const signer = signers.get(machine);
  if (signer === undefined) throw new TypeError("auth.trusts has a machine that hands out no tokens");
  return signer;
}

/** An address that reaches a listener on all interfaces. */
function reachable(hostname: string): string {
  if (hostname === "0.0.0.0") return "127.0.0.1";
  return hostname === "::" ? "::1" : hostname;
}
