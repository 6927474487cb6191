import { Code, type ConnectError } from "@connectrpc/connect";

/*
 * Conditions that signaling servers report only in the text of a status (protocol §3.7): the codes have other meanings,
 * too, and there are no details. No other place reads such texts.
 */

/** True if the machine is known and offline. Source: goutils' `rpc/wrtc_call_queue_mongodb.go`. */
export function saysOffline({ code, rawMessage }: ConnectError): boolean {
  return code === Code.NotFound && rawMessage.startsWith("host appears to be offline");
}

/**
 * True if the server signals for other machines only, or for none. Source: goutils' `rpc/wrtc_client.go` and
 * `rpc/wrtc_signaling_server.go`.
 */
export function saysNoSignaler({ code, rawMessage }: ConnectError): boolean {
  return code === Code.Unimplemented ||
    (code === Code.InvalidArgument && rawMessage === "host not preconfigured");
}
