import type { ReportConnectionMetadataRequest } from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import type { AcceptedCredentials } from "./authentication.ts";
import type { OutsideSignaling } from "./cloud_answerer.ts";
import type { Faults } from "./faults.ts";
import type { ServerTls } from "../server/one_port.ts";
import type { Routes } from "../server/routes.ts";
import type { MachineSessionOptions } from "./sessions.ts";
import type { IceServer } from "./signaling_service.ts";

/** Who may call a machine over HTTP. */
export interface MachineAuth {
  /** The secrets that are good here. */
  readonly credentials: readonly AcceptedCredentials[];
  /** How long a token is good for, in milliseconds. Left out, tokens do not expire, as on a real machine. */
  readonly tokenLifetimeMs?: number;
  /** Also hands out tokens for other entities (`ExternalAuthService`). */
  readonly externalAuth?: boolean;
  /** Machines whose tokens for this one are good here, too. */
  readonly trusts?: readonly Machine[];
}

/** How a machine is set up. Everything can be left out. */
export interface MachineOptions {
  /** Services of your own, as for any Connect server. They may replace methods of the built-in ones. */
  readonly routes?: Routes;
  /** Where to listen: "127.0.0.1" by default. */
  readonly hostname?: string;
  /** The port; 0, the default, for any that is free. */
  readonly port?: number;
  /**
   * The names that callers may dial in signaling; others hear that the host is not known here, and dial directly.
   * Any name by default.
   */
  readonly hosts?: readonly string[];
  /** Speaks TLS, and only TLS. */
  readonly tls?: ServerTls;
  /** A random API key by default, in `apiKey` and `apiKeyId`; "none" lets everybody in. */
  readonly auth?: MachineAuth | "none";
  /**
   * True by default: does signaling, and answers. False: does neither, so that callers dial directly.
   * "signaling-only": brings callers to other machines (see `signaling`), as the cloud does, and answers none itself.
   */
  readonly webrtc?: boolean | "signaling-only";
  /** The ICE servers that callers are told of. */
  readonly iceServers?: readonly IceServer[];
  /** The ICE servers that the machine asks for itself, over UDP: none by default. */
  readonly ownIceServers?: readonly IceServer[];
  /** Takes the callers that another signaling server has for it, as a real machine takes the cloud's. */
  readonly signaling?: OutsideSignaling;
  /** Largest request message taken in, in bytes: 2^25 by default, as on a real machine. */
  readonly maxMessageBytes?: number;
  /**
   * Names to be found by on the local network, by multicast DNS; none by default. The machine has to listen where
   * others reach it, such as at "0.0.0.0".
   */
  readonly mdns?: readonly string[];
  /** How sessions are kept, and what stops when one expires. */
  readonly sessions?: MachineSessionOptions;
  /** What goes wrong from the start. */
  readonly faults?: Faults;
}

/** Calls that have arrived, by the way they came. Refused ones count. */
export interface CallCounts {
  /** Over a data channel. */
  readonly webrtc: number;
  /** As native gRPC. */
  readonly grpc: number;
  /** As gRPC-Web. */
  readonly "grpc-web": number;
  /** In Connect's own protocol. */
  readonly connect: number;
}

/** A running machine. */
export interface Machine extends AsyncDisposable {
  /** `host:port`; what to dial. */
  readonly address: string;
  /** `http(s)://host:port`. */
  readonly url: string;
  /** The port it listens on. */
  readonly port: number;
  /** The first API key that is accepted; empty when there is none. */
  readonly apiKey: string;
  /** Its id: the entity to authenticate as. */
  readonly apiKeyId: string;
  /** The certificate that was given, PEM. */
  readonly certificate: string | undefined;
  /** Calls so far; signaling and authentication are calls, too. */
  readonly calls: CallCounts;
  /** Calls so far to one method, `/package.Service/Method`. */
  callsTo(path: string): CallCounts;
  /** Peer connections that are not closed. */
  readonly connections: number;
  /** What callers have reported of their dials. */
  readonly reports: readonly ReportConnectionMetadataRequest[];
  /** What goes wrong. Set it at any time; `{}` for nothing. */
  faults: Faults;
  /** Makes every token so far worthless: the next call with one is `Unauthenticated`. */
  revokeTokens(): void;
  /** Drops every connection, peer connections too. New ones are accepted. */
  dropConnections(): void;
  /** Whether `close()` has been called. */
  readonly closed: boolean;
  /** Ends every call, closes every connection and stops listening. Idempotent. */
  close(): Promise<void>;
}
