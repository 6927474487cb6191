import { Code, type ConnectError } from "@connectrpc/connect";

/*
 * What signaling servers say in the text of a status alone (protocol §3.7): their codes have other meanings, too, and
 * they send no details. The only place that reads such texts.
 */

/** Whether the machine is known and offline. Source: goutils' `rpc/wrtc_call_queue_mongodb.go`. */
export function saysOffline({ code, rawMessage }: ConnectError): boolean {
  return code === Code.NotFound && rawMessage.startsWith("host appears to be offline");
}

/**
 * Whether the server signals for other machines only, or for none. Source: goutils' `rpc/wrtc_client.go` and
 * `rpc/wrtc_signaling_server.go`.
 */
export function saysNoSignaler({ code, rawMessage }: ConnectError): boolean {
  return code === Code.Unimplemented ||
    (code === Code.InvalidArgument && rawMessage === "host not preconfigured");
}
