/**
 * The setting of most scenarios: a client, a machine, a signaling server and a TURN server, each on a link of its own.
 */

import type { Certificates } from "../certificates.ts";
import { type Host, type Lab, openLab } from "./lab.ts";
import { type Program, type Runtime, startGoMachine, startProgram } from "./program.ts";
import { startTurnServer, type TurnServer } from "./turn_server.ts";

const KEY_ID = "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c";
const KEY = "the-key-of-the-lab";
const AUTH = { credentials: [{ type: "api-key", entity: KEY_ID, payload: KEY }] };

/** The machine's name at the signaling server, and on a local network. */
export const MACHINE_NAME = "robot.lab.example";

/** The TURN credentials: every character that is special in a URL, a header or a shell. */
const TURN_USER = "1764000000/lab+user=@x";
const TURN_PASSWORD = "p:@=/?&#%+[] ü\"'\\$<>";

/** The addresses of the lab, in the order in which hosts are made. */
export const CLIENT = 1, MACHINE = 2, SIGNALING = 3, TURN = 4;
/** The names in the lab's certificate. */
export const CERTIFIED: readonly string[] = ["10.77.2.2", "10.77.3.2", "10.77.4.2", MACHINE_NAME];

/** Whose machine it is: the embedded one, on libdatachannel, or the Go peer's, on pion as a Viam machine is. */
export type Make = "embedded" | "pion";

/** The port of the machine; one that is started again has the next, unless it signals for itself. */
const FIRST_PORT = 8080;

/** The parts of a world. */
export interface WorldOptions {
  readonly client: Runtime;
  /** The runtime of the machine and the signaling server. */
  readonly server: Runtime;
  readonly certificates: Certificates;
  /** Without it, there is no TURN server, and the signaling server names none. */
  readonly turn?: boolean;
  /** Puts client and machine each behind an address translator. */
  readonly translated?: boolean;
  /** Puts client and machine on a local network as well; without a router it is all they have. */
  readonly lan?: "with a router" | "alone";
  readonly make: Make;
  /** Without a signaling server: the machine signals for itself, over TLS or not. */
  readonly alone?: "TLS" | "plaintext";
  /** More options of the embedded machine. */
  readonly machineOptions?: object;
  /** Lets the machine answer offers at the signaling server; true by default. */
  readonly answers?: boolean;
}

/** A lab with its hosts and servers. */
export interface World extends AsyncDisposable {
  readonly lab: Lab;
  client: Host;
  machine: Host;
  readonly signaling: Host;
  readonly turn: Host;
  readonly turnServer: TurnServer | undefined;
  /** URLs of the TURN server. */
  readonly turnUrls: { readonly udp: string; readonly tcp: string; readonly tls: string };
  machineProgram: Program;
  signalingProgram: Program;
  /** Starts a client, which waits for commands. */
  startClient(permissions?: readonly string[], env?: Readonly<Record<string, string>>): Promise<Program>;
  /** Starts the machine again; on another port, unless it signals for itself. */
  restartMachine(): Promise<void>;
  startSignaling(): Promise<void>;
  /** The options with which the machine answers offers at the signaling server. */
  answersFor(): object;
  /** The address to dial, and options with which that leads to the machine. */
  readonly address: string;
  options(webrtc?: object): object;
}

/** Builds and starts everything except a client. */
export async function openWorld(options: WorldOptions): Promise<World> {
  const { certificates, server } = options;
  const lab = await openLab();
  const made: AsyncDisposable[] = [lab];
  const close = async () => {
    for (const one of made.splice(0).toReversed()) await one[Symbol.asyncDispose]();
  };
  try {
    const translated = options.translated === true;
    const client = await lab.host("client", { translated });
    const machine = await lab.host("machine", { translated });
    const signaling = await lab.host("signaling"), turn = await lab.host("turn");
    const turnUrls = {
      udp: `turn:${turn.address}:3478?transport=udp`,
      tcp: `turn:${turn.address}:3478?transport=tcp`,
      tls: `turns:${turn.address}:443?transport=tcp`,
    };
    const login = { username: TURN_USER, credential: TURN_PASSWORD };
    const turnServer = options.turn === true
      ? await startTurnServer(turn, { ...login, certificates: certificates.folder })
      : undefined;
    if (turnServer !== undefined) made.push(turnServer);
    const { alone } = options;
    const signals = options.lan !== "alone" && alone === undefined;
    const stun = turnServer === undefined ? undefined : `stun:${turn.address}:3478`;
    const starts: Record<Make, (port: number) => Promise<Program>> = {
      embedded: (port) =>
        startProgram(world.machine, server, "machine", {
          hostname: "0.0.0.0",
          port,
          auth: AUTH,
          ...alone === "TLS" ? { tls: { cert: certificates.cert, key: certificates.key } } : {},
          ...options.machineOptions,
          ...stun === undefined ? {} : { ownIceServers: [{ urls: [stun] }] },
          ...signals && options.answers !== false ? { signaling: world.answersFor() } : {},
        }),
      pion: (port) =>
        startGoMachine(world.machine, [
          ...["-address", `0.0.0.0:${port}`, "-api-key", KEY, "-api-key-id", KEY_ID],
          ...alone === "TLS"
            ? ["-cert", `${certificates.folder}/cert.pem`, "-cert-key", `${certificates.folder}/key.pem`]
            : [],
          ...stun === undefined ? [] : ["-ice-servers", stun],
          ...signals
            ? [
              ...["-signaling", `${signaling.address}:443`, "-hosts", MACHINE_NAME],
              ...["-signaling-ca", `${certificates.folder}/ca.pem`],
            ]
            : [],
        ]),
    };
    let port = FIRST_PORT;
    const startMachine = async () => {
      world.machineProgram = await starts[options.make](alone === undefined ? port++ : port);
      made.push(world.machineProgram);
    };
    const world: World = {
      lab,
      client,
      machine,
      signaling,
      turn,
      turnServer,
      turnUrls,
      machineProgram: undefined as unknown as Program,
      signalingProgram: undefined as unknown as Program,
      async startClient(permissions, env) {
        const program = await startProgram(world.client, options.client, "client", {}, permissions, env);
        made.push(program);
        return program;
      },
      restartMachine: startMachine,
      async startSignaling() {
        world.signalingProgram = await startProgram(signaling, server, "machine", {
          hostname: "0.0.0.0",
          port: 443,
          auth: AUTH,
          tls: { cert: certificates.cert, key: certificates.key },
          webrtc: "signaling-only",
          ...turnServer === undefined
            ? {}
            : { iceServers: Object.values(turnUrls).map((url) => ({ urls: [url], ...login })) },
        });
        made.push(world.signalingProgram);
      },
      answersFor: () => ({
        address: `${signaling.address}:443`,
        ca: certificates.ca,
        hosts: [MACHINE_NAME],
        credentials: { type: "api-key", entity: KEY_ID, payload: KEY },
      }),
      address: alone === undefined ? MACHINE_NAME : `${machine.address}:${FIRST_PORT}`,
      options: (webrtc = {}) => ({
        credentials: { type: "api-key", payload: KEY },
        authEntity: KEY_ID,
        ...alone === "plaintext" ? { insecure: true } : { tls: { ca: certificates.ca } },
        webrtc: { ...alone === undefined ? { signalingAddress: `${signaling.address}:443` } : {}, ...webrtc },
      }),
      [Symbol.asyncDispose]: close,
    };
    if (options.lan !== undefined) await lab.lan(client, machine);
    if (options.lan === "alone") {
      for (const host of [client, machine]) await host.run("ip", "link", "delete", "wan");
    } else if (alone === undefined) await world.startSignaling();
    await startMachine();
    return world;
  } catch (error) {
    await close();
    throw error;
  }
}

/** A packet filter on the router, made of rules of its forward chain. */
export function forwarding(...rules: string[]): string {
  return [
    "add table ip lab",
    "add chain ip lab forward { type filter hook forward priority 0; }",
    ...rules.map((rule) => `add rule ip lab forward ${rule}`),
  ].join("; ");
}

/** Rules for packets from and to the link of a host. */
export function bothWays(link: number, rule: string): string[] {
  return [`iifname to-${link} ${rule}`, `oifname to-${link} ${rule}`];
}
