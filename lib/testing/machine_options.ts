import type { ReportConnectionMetadataRequest } from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import type { CredentialType } from "../options/credentials.ts";
import type { OutsideSignaling } from "./cloud_answerer.ts";
import type { Faults } from "./faults.ts";
import type { ServerTls } from "../server/one_port.ts";
import type { Routes } from "../server/routes.ts";
import type { MachineSessionOptions } from "./sessions.ts";
import type { IceServer } from "../core/ice/ice.ts";

/** A secret that a machine accepts. */
export interface AcceptedCredentials {
  /** The type of the credentials, such as "api-key". */
  readonly type: CredentialType;
  /**
   * The identity that may use it; for an API key, the id of the key. By default any name of the machine, which is any
   * name at all unless the machine has a list of hosts.
   */
  readonly entity?: string;
  /** The secret. */
  readonly payload: string;
}

/** Authentication of calls over HTTP. */
export interface MachineAuth {
  /** The accepted secrets. */
  readonly credentials: readonly AcceptedCredentials[];
  /** Lifetime of a token, in milliseconds. By default tokens do not expire, as on a real machine. */
  readonly tokenLifetimeMs?: number;
  /** Also issues tokens for other entities (`ExternalAuthService`). */
  readonly externalAuth?: boolean;
  /** Machines whose tokens for this one are also accepted. */
  readonly trusts?: readonly Machine[];
}

/** Settings of a machine. All are optional. */
export interface MachineOptions {
  /** Your own services, as for any Connect server. They may replace methods of the built-in ones. */
  readonly routes?: Routes;
  /** The address to listen on: "127.0.0.1" by default. */
  readonly hostname?: string;
  /** The port; 0, the default, picks a free one. */
  readonly port?: number;
  /**
   * The names that callers may dial in signaling, any name by default. Callers of other names learn that the host is
   * not known here, and dial directly.
   */
  readonly hosts?: readonly string[];
  /** Serves TLS only. */
  readonly tls?: ServerTls;
  /** The credentials: by default a random API key, in `apiKey` and `apiKeyId`; "none" lets everybody in. */
  readonly auth?: MachineAuth | "none";
  /**
   * The part in WebRTC. True, the default: signals and answers. False: neither, so that callers dial directly.
   * "signaling-only": connects callers to other machines (see `signaling`), as the cloud does, and answers none itself.
   */
  readonly webrtc?: boolean | "signaling-only";
  /** The ICE servers that callers are told to use. */
  readonly iceServers?: readonly IceServer[];
  /** The ICE servers that the machine itself uses, over UDP: none by default. */
  readonly ownIceServers?: readonly IceServer[];
  /** Accepts callers from another signaling server, as a real machine accepts those of the cloud. */
  readonly signaling?: OutsideSignaling;
  /** Largest request message, in bytes: 2^25 by default, as on a real machine. */
  readonly maxMessageBytes?: number;
  /**
   * Names that multicast DNS advertises on the local network; none by default. The machine must listen where others
   * reach it, such as at "0.0.0.0".
   */
  readonly mdns?: readonly string[];
  /** Settings of sessions, including what stops when one expires. */
  readonly sessions?: MachineSessionOptions;
  /** Faults from the start. */
  readonly faults?: Faults;
}

/** Numbers of calls by protocol, including refused ones. */
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
  /** The address to dial, `host:port`. */
  readonly address: string;
  /** The address as a URL, `http(s)://host:port`. */
  readonly url: string;
  /** The port it listens on. */
  readonly port: number;
  /** The first accepted API key; empty if there is none. */
  readonly apiKey: string;
  /** The id of that key: the entity to authenticate as. */
  readonly apiKeyId: string;
  /** The certificate of the options, PEM. */
  readonly certificate: string | undefined;
  /** Numbers of calls so far, including those of signaling and authentication. */
  readonly calls: CallCounts;
  /** Numbers of calls so far to one method, `/package.Service/Method`. */
  callsTo(path: string): CallCounts;
  /** Number of peer connections that are not closed. */
  readonly connections: number;
  /** Reports of callers about their dials. */
  readonly reports: readonly ReportConnectionMetadataRequest[];
  /** The current faults. Set it at any time; `{}` removes all. */
  faults: Faults;
  /** Invalidates every token so far: the next call with one is `Unauthenticated`. */
  revokeTokens(): void;
  /** Drops every connection, including peer connections. New ones are accepted. */
  dropConnections(): void;
  /** True once `close()` has been called. */
  readonly closed: boolean;
  /** Ends every call, closes every connection and stops listening. Idempotent. */
  close(): Promise<void>;
}
