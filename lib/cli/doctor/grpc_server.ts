import type { DescMethodUnary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ViamChannel } from "../../channel/channel.ts";
import type { DialPlan } from "../../core/dial/plan.ts";
import { describeTarget } from "../../core/net/target.ts";
import { chooseIceServers, type IceConfiguration } from "../../core/ice/ice.ts";
import type { DialContext } from "../../dial/context.ts";
import { authorize, type ReachedServer, reachServer, transportTo } from "../../dial/server.ts";
import type { TlsOptions } from "../../options/dial_options.ts";
import type { Authorization } from "../../rpc/authorization.ts";
import { rawMethod } from "../../rpc/raw_method.ts";
import { fetchSignalingConfig, NoSignalerError } from "../../webrtc/signaling_client.ts";
import { describeError, messageOf } from "../error_text.ts";
import { EXIT, exitCodeOf } from "../exit_code.ts";
import { failed, type Finding, type Step } from "./ladder.ts";
import { type ProxiedTarget, silent } from "./tcp.ts";
import { wantsClientCertificate } from "./tls.ts";

/** Finds out whether the server speaks gRPC, and in which protocol. */
export async function checkProtocol(
  dial: DialContext,
  target: ProxiedTarget,
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
    if (target.secure && await wantsClientCertificate(target, tls, signal)) {
      return failed("a client certificate is required", {
        problem: `${name} requires a client certificate`,
        advice: "pass one as --client-cert and --client-key",
      });
    }
    return failed(`no gRPC: ${messageOf(error)}`, {
      problem: `${name} does not speak gRPC`,
      advice: "check the port: another program answers there",
    });
  }
}

/** Gets a token. */
export async function checkAuthentication(
  dial: DialContext,
  server: ReachedServer,
  signal: AbortSignal,
): Promise<Step<Authorization>> {
  const { options: { credentials, accessToken }, entity } = dial;
  const name = describeTarget(server.target);
  if (credentials === undefined && accessToken === undefined) {
    const { refusal } = server.carrier;
    if (refusal !== undefined) return credentialsWanted(name, refusal);
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
    const problem = `${name} refuses the credentials of ${entity}`;
    if (exitCodeOf(error) === EXIT.refused) {
      return failed(`${problem}: ${messageOf(error)}`, {
        problem,
        advice: "check the key and its id, and that they are for this machine",
        exitCode: EXIT.refused,
      });
    }
    if (ConnectError.from(error).code === Code.Unimplemented) {
      return failed(`${name} accepts no credentials`, {
        advice: "dial it without",
        exitCode: EXIT.refused,
      });
    }
    const detail = signal.aborted ? "no answer" : messageOf(error);
    return { verdict: "failed", detail, problem: `${name} does not authenticate: ${detail}` };
  }
}

/** Asks the signaling server for ICE servers. */
export async function checkSignaling(
  dial: DialContext,
  plan: DialPlan & { kind: "webrtc" },
  server: ReachedServer,
  authorization: Authorization | undefined,
  signal: AbortSignal,
): Promise<Step<IceConfiguration>> {
  const { options } = dial;
  const name = describeTarget(server.target);
  try {
    const config = await fetchSignalingConfig(transportTo(server, options, authorization), plan.host, signal);
    const ice = chooseIceServers({
      ...options.webrtc,
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
    if (exitCodeOf(error) === EXIT.refused) return credentialsWanted(name, error);
    const detail = signal.aborted ? "no answer" : messageOf(error);
    return { verdict: "failed", detail, problem: `${name} does not signal for ${plan.host}: ${detail}` };
  }
}

/** A method of every machine, without arguments or effect. */
const GET_VERSION = rawMethod("/viam.robot.v1.RobotService/GetVersion", "unary") as DescMethodUnary;

/** Makes a first call. */
export async function checkFirstCall(
  channel: ViamChannel,
  address: string,
  signal: AbortSignal,
): Promise<Step<number>> {
  const began = performance.now();
  try {
    await channel.unary(GET_VERSION, signal, undefined, undefined, {});
  } catch (error) {
    if (exitCodeOf(error) === EXIT.refused) return credentialsWanted(address, error);
    // A server without robots is a server, too.
    if (ConnectError.from(error).code !== Code.Unimplemented) {
      const detail = signal.aborted ? "no answer" : describeError(error);
      return failed(detail, {
        problem: `${address} was dialed, but the first call failed (${detail})`,
        advice: "restart the machine",
        exitCode: EXIT.callFailed,
      });
    }
  }
  return { verdict: "ok", detail: "the machine answers", result: performance.now() - began };
}

function credentialsWanted(name: string, error: unknown): Finding {
  return failed(`${name} requires credentials: ${messageOf(error)}`, {
    problem: `${name} requires credentials`,
    advice: "set VIAM_API_KEY and VIAM_API_KEY_ID",
    exitCode: EXIT.refused,
  });
}
