import {
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type Message,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ViamChannel } from "../channel/channel.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import type { ReflectedServices } from "../core/grpc/reflected_services.ts";
import { sendsOne } from "../core/grpc/stream_kind.ts";
import { abortable } from "../runtime/abortable.ts";
import { answerJson, jsonText } from "./answer_json.ts";
import { type Arguments, UsageError } from "./arguments.ts";
import type { Run } from "./command.ts";
import { addressOf, dialMachine } from "./dial_command.ts";
import { describeError, messageOf } from "./error_text.ts";
import { EXIT, exitCodeOf } from "./exit_code.ts";
import { parseRequests, readJsonLines } from "./request_json.ts";
import { requestMessage } from "./request_message.ts";
import { NO_PROGRESS, showProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

const METHOD_PATH = /^\/?[\w.]+\/\w+$/;

/** Calls a method. */
export const call: Run = async (args, terminal) => {
  const { positionals } = args;
  // An address has no path, so a method is never taken for one.
  const at = METHOD_PATH.test(positionals[0] ?? "") ? 0 : 1;
  const path = positionals[at];
  const request = positionals[at + 1];
  if (path === undefined || !METHOD_PATH.test(path)) {
    throw new UsageError("call takes a method, such as viam.robot.v1.RobotService/GetVersion");
  }
  if (positionals.length > at + 2) {
    throw new UsageError("call takes one request; put its JSON in quotation marks");
  }
  const address = addressOf(at === 0 ? undefined : positionals[0], terminal);
  const given = request === undefined || request === "-" ? undefined : parseRequests(request);
  const deadline = args.integer("deadline", 1, Infinity);

  await using channel = await dialMachine(address, args, terminal);
  const reflection = await channel.reflect({ signal: terminal.signal });
  const method = reflection.getMethod(path);
  if (method === undefined) throw unknownMethod(path, reflection);
  const streams = !sendsOne(method.methodKind);
  if (!streams && given !== undefined && given.length > 1) {
    throw new UsageError(`${path} takes one message, and there are ${given.length}`);
  }
  const reads = given === undefined && (request === "-" || streams);
  const typing = reads && terminal.inputIsTerminal;
  if (typing && terminal.errorIsTerminal) {
    terminal.warn(`type ${method.input.typeName} as JSON, one message a line; Ctrl-D ends them\n`);
  }
  const values = given ?? (reads ? readJsonLines(terminal.input) : [{}]);
  const messages = decoded(values, method, reflection);
  const write = async (message: Message) => {
    const json = answerJson(method.output, message, reflection);
    const compact = args.has("json") || method.methodKind !== "unary";
    await terminal.write(`${jsonText(json, compact ? 0 : 2)}\n`);
  };
  const verbose = (name: string, metadata: Headers) => {
    if (args.has("verbose")) tellMetadata(name, metadata, terminal);
  };
  // A line of progress would write over what is being typed.
  const progress = typing ? NO_PROGRESS : showProgress(terminal, `calling ${method.name}`);
  const { signal } = terminal;
  try {
    const answer = method.methodKind === "unary"
      ? await callOnce(channel, method as DescMethodUnary, messages, signal, deadline)
      : await channel.stream(method as DescMethodStreaming, signal, deadline, undefined, messages);
    progress.end();
    verbose("header", answer.header);
    for await (const message of answer.message) await write(message);
    verbose("trailer", answer.trailer);
    return EXIT.ok;
  } catch (error) {
    progress.end();
    // The error that ended the requests ended the call: the first one went wrong.
    const cause = error instanceof ConnectError ? error.cause : undefined;
    if (cause instanceof UsageError) throw cause;
    if (!(error instanceof ConnectError) || signal.aborted) throw error;
    tellFailure(error, reflection, args, terminal);
    return exitCodeOf(error);
  }
};

/** Makes a unary call, whose answer is one message. */
async function callOnce(
  channel: ViamChannel,
  method: DescMethodUnary,
  messages: AsyncGenerator<Message>,
  signal: AbortSignal,
  deadline: number | undefined,
) {
  const first = await abortable(messages.next(), signal);
  if (first.done === true) throw new UsageError("Standard input has no message");
  if ((await abortable(messages.next(), signal)).done !== true) {
    throw new UsageError(`${method.name} takes one message, and standard input has more`);
  }
  const { message, ...answer } = await channel.unary(method, signal, deadline, undefined, first.value);
  return { ...answer, message: [message] };
}

async function* decoded(
  values: Iterable<unknown> | AsyncIterable<unknown>,
  { input }: DescMethod,
  registry: ReflectedServices,
): AsyncGenerator<Message> {
  let number = 0;
  for await (const value of values) {
    number++;
    let message: Message;
    try {
      message = requestMessage(input, value, registry);
    } catch (error) {
      throw new UsageError(`Message ${number} is not a ${input.typeName}: ${messageOf(error)}`, {
        cause: error,
      });
    }
    yield message;
  }
}

function unknownMethod(path: string, reflection: ReflectedServices): UsageError {
  const [service] = path.replace(/^\//, "").split("/");
  const known = reflection.getService(service!);
  const hint = known === undefined
    ? "viam-dial list shows its services"
    : `${service} has ${known.methods.map(({ name }) => name).join(", ")}`;
  return new UsageError(`The machine has no method ${path.replace(/^\//, "")}; ${hint}`);
}

function tellMetadata(name: string, metadata: Headers, terminal: Terminal): void {
  for (const [key, values] of Metadata.from(metadata).lists()) {
    for (const value of values) terminal.warn(`${name} ${key}: ${value}\n`);
  }
}

function tellFailure(
  error: ConnectError,
  registry: ReflectedServices,
  args: Arguments,
  terminal: Terminal,
): void {
  const details = error.details.map((detail) => {
    if ("desc" in detail) return { type: detail.desc.typeName };
    const schema = registry.getMessage(detail.type);
    if (schema === undefined) return { type: detail.type };
    try {
      return { type: detail.type, value: answerJson(schema, fromBinary(schema, detail.value), registry) };
    } catch {
      return { type: detail.type }; // what cannot be shown must not hide the error
    }
  });
  if (args.has("json")) {
    const { rawMessage } = error;
    const status = { code: error.code, status: Code[error.code], message: rawMessage, details };
    terminal.warn(`${JSON.stringify({ error: status, exitCode: exitCodeOf(error) })}\n`);
    return;
  }
  terminal.warn(`viam-dial: ${describeError(error)}\n`);
  for (const detail of details) terminal.warn(`  ${JSON.stringify(detail)}\n`);
  if (args.has("verbose")) tellMetadata("trailer", error.metadata, terminal);
}
