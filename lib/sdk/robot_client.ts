import { Code, ConnectError } from "@connectrpc/connect";
import { type AuthenticatedChannel, transportInSession } from "../channel/channel.ts";
import {
  KINDS,
  type MessageClass,
  type MethodInfo,
  serviceClient,
  type ServiceInfo,
} from "./service_client.ts";

/** The part of `@viamrobotics/sdk` that `robotClient` uses. */
export interface OfficialSdk<Client extends object> {
  /** The client of a machine. */
  readonly RobotClient: new () => Client;
  /** The messages of `RobotService`. */
  readonly robotApi: object;
}

/** The events of the SDK's `RobotClient`. */
interface Dispatcher {
  on(type: string, listener: (args: unknown) => void): void;
  emit(type: string, args: unknown): void;
}

const ROBOT_SERVICE = "viam.robot.v1.RobotService";
const STREAM_SERVICE = "proto.stream.v1.StreamService";

/** The streaming methods of `RobotService`; the others are unary. */
const STREAMING: Readonly<Record<string, (typeof KINDS)[number]>> = {
  StreamStatus: "server_streaming",
  Tunnel: "bidi_streaming",
};

/**
 * Makes a `RobotClient` of the official SDK whose calls go over a channel: for the SDK's clients of components and
 * services, and for the methods of its own.
 *
 * Errors, deadlines, signals and headers are those of every call on the channel. Monitored calls carry a session, which
 * stops the robot when the program is gone, unless the channel was dialed with `session: false`. The channel connects,
 * reconnects and closes: `dial`, `connect` and `disconnect` of the client reject with `FailedPrecondition`, and
 * `isConnected` tells whether the channel is. There is no video: `getStream` and `add` of the SDK's `StreamClient`
 * reject with `Unimplemented`.
 *
 * Source: `RobotClient` of `@viamrobotics/sdk`, whose clients use `createServiceClient` of it.
 *
 * @param machine A channel that {@link dial} or {@link dialDirect} made.
 * @param sdk The SDK, of a version on Connect v1: `import * as VIAM from "@viamrobotics/sdk"`.
 *
 * @example
 * ```ts
 * import * as VIAM from "@viamrobotics/sdk";
 * import { dial, DialOptions } from "@viam-dial/dial";
 * import { robotClient } from "@viam-dial/dial/sdk";
 *
 * const options = DialOptions.withApiKey("<API-KEY>", "<API-KEY-ID>");
 * await using machine = await dial("my-robot-main.abcdef.viam.cloud", options);
 * const wheel = new VIAM.MotorClient(robotClient(machine, VIAM), "wheel");
 * await wheel.setPower(0.5);
 * await wheel.stop();
 * ```
 */
export function robotClient<Client extends object>(
  machine: AuthenticatedChannel,
  sdk: OfficialSdk<Client>,
): Client {
  const transport = transportInSession(machine);
  const clients = new Map<ServiceInfo, Record<string, unknown>>();
  const robotService = robotServiceInfo(sdk.robotApi);
  let isMade = false, isListening = false;

  class ChannelRobotClient extends (sdk.RobotClient as unknown as new () => Dispatcher) {
    createServiceClient(service: ServiceInfo): Record<string, unknown> {
      let client = clients.get(service);
      if (client === undefined) {
        client = serviceClient(service, transport);
        if (service.typeName === STREAM_SERVICE) client["addStream"] = refuseVideo(this);
        clients.set(service, client);
      }
      return client;
    }

    get robotService(): Record<string, unknown> {
      return this.createServiceClient(robotService);
    }

    override on(type: string, listener: (args: unknown) => void): void {
      // The SDK's constructor listens, too, but only to pass events on to others.
      if (isMade && !isListening) {
        isListening = true;
        passEvents(machine, this);
      }
      super.on(type, listener);
    }

    isConnected(): boolean {
      return machine.state === "connected";
    }

    dial = notHere;
    connect = notHere;
    disconnect = notHere;
  }

  const client = new ChannelRobotClient();
  isMade = true;
  return client as unknown as Client;
}

function notHere(): Promise<never> {
  return Promise.reject(
    new ConnectError(
      "This RobotClient uses a channel of @viam-dial/dial, which connects and reconnects by itself: " +
        "call dial() of that module to connect, and close() of the channel to disconnect",
      Code.FailedPrecondition,
    ),
  );
}

/** Passes events of the channel on, under the SDK's names. */
function passEvents(machine: AuthenticatedChannel, client: Dispatcher): void {
  machine.addEventListener("connected", () => client.emit("connected", {}));
  machine.addEventListener("disconnected", ({ detail: { error } }) => client.emit("disconnected", { error }));
  machine.addEventListener("reconnecting", () => client.emit("connecting", {}));
}

/**
 * Refuses `AddStream`. The SDK's `getStream` waits for a track beside this call. Nothing handles the rejection of that
 * wait once the call has failed, and Node would end the process: an event with a stream of that name ends the wait.
 */
function refuseVideo(client: Dispatcher): (request: { readonly name: string }) => Promise<never> {
  return ({ name }) => {
    client.emit("track", { streams: [{ id: name }] });
    return Promise.reject(
      new ConnectError(
        "A channel of @viam-dial/dial carries no video: use getImages() of the SDK's CameraClient",
        Code.Unimplemented,
      ),
    );
  };
}

/** Makes `RobotService` of its messages, which are all that the SDK exports: each method has a request and a response. */
function robotServiceInfo(messages: object): ServiceInfo {
  const classes = messages as Readonly<Record<string, MessageClass>>;
  const methods: Record<string, MethodInfo> = {};
  for (const [request, I] of Object.entries(classes)) {
    const name = /^(.+)Request$/.exec(request)?.[1];
    const O = classes[`${name}Response`];
    if (name === undefined || O === undefined) continue;
    const kind = KINDS.indexOf(STREAMING[name] ?? "unary");
    methods[name[0]!.toLowerCase() + name.slice(1)] = { name, kind, I, O };
  }
  return { typeName: ROBOT_SERVICE, methods };
}
