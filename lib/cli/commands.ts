import { type Command, COMMON_OPTIONS } from "./command.ts";
import { DIAL_OPTIONS } from "./dial_command.ts";

const DEADLINE = { value: "MS", help: "how long the call may take" };

/** Every command, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  {
    name: "ping",
    summary: "dial a machine and measure round trips",
    usage: "[ADDRESS]",
    details:
      "Calls a method that no machine has, again and again; the answer shows that the machine is there. " +
      "Goes on until interrupted, or until --count.",
    options: {
      ...COMMON_OPTIONS,
      "count": { value: "N", short: "c", help: "stop after so many" },
      "interval": { value: "MS", short: "i", help: "from one to the next; 1000 by default" },
      "deadline": { value: "MS", help: "how long an answer may take; 5000 by default" },
      ...DIAL_OPTIONS,
    },
    load: async () => (await import("./ping.ts")).ping,
  },
  {
    name: "doctor",
    summary: "find out why a machine cannot be reached, or how it is",
    usage: "[ADDRESS]",
    details:
      "Looks at each step of a dial by itself, from the name to the first call, and ends in one sentence.",
    options: { ...COMMON_OPTIONS, ...DIAL_OPTIONS },
    load: async () => (await import("./doctor/doctor.ts")).doctor,
  },
  {
    name: "list",
    summary: "list a machine's services",
    usage: "[ADDRESS]",
    details: "Asks the machine by gRPC server reflection.",
    options: { ...COMMON_OPTIONS, "methods": { help: "list their methods" }, ...DIAL_OPTIONS },
    load: async () => (await import("./list.ts")).list,
  },
  {
    name: "describe",
    summary: "show a service, method, message or enumeration",
    usage: "[ADDRESS] NAME",
    details: "Asks the machine by gRPC server reflection. NAME is a full name, such as " +
      "viam.robot.v1.RobotService or viam.robot.v1.RobotService/GetVersion.",
    options: { ...COMMON_OPTIONS, ...DIAL_OPTIONS },
    load: async () => (await import("./describe.ts")).describe,
  },
  {
    name: "call",
    summary: "call a method",
    usage: "[ADDRESS] SERVICE/METHOD [JSON | -]",
    details:
      "Knows the method by gRPC server reflection. The request is JSON; - reads it from standard input, " +
      "one message a line. Left out it is an empty message, or standard input where the method takes a stream. " +
      "Answers are written as they come: a stream's and all with --json one a line.",
    options: { ...COMMON_OPTIONS, "deadline": DEADLINE, ...DIAL_OPTIONS },
    load: async () => (await import("./call.ts")).call,
  },
  {
    name: "proxy",
    summary: "make a machine a local gRPC and gRPC-Web port",
    usage: "[ADDRESS]",
    details:
      "Whoever can reach the port calls the machine with your credentials: it is on the loopback only, " +
      "unless --listen has a host, and pages of other origins than this computer's are refused, " +
      "unless --allow-origin has them. Runs until interrupted.",
    options: {
      ...COMMON_OPTIONS,
      "listen": { value: "[HOST:]PORT", short: "l", help: "where to listen; any free port by default" },
      "allow-origin": { value: "ORIGIN", multiple: true, help: "pages that may call; * for all" },
      ...DIAL_OPTIONS,
    },
    load: async () => (await import("./proxy.ts")).proxy,
  },
  {
    name: "serve",
    summary: "run a machine to dial, for tests",
    usage: "",
    details: "Accepts the credentials of VIAM_API_KEY and VIAM_API_KEY_ID, or makes some and shows them. " +
      "Runs until interrupted.",
    options: {
      ...COMMON_OPTIONS,
      "port": { value: "N", help: "the port; any free one by default" },
      "hostname": { value: "HOST", help: "where to listen; 127.0.0.1 by default" },
      "no-auth": { help: "let everybody in" },
      "no-webrtc": { help: "no signaling, so that callers dial directly" },
      "cert": { value: "FILE", file: true, help: "speak TLS with this certificate (PEM)" },
      "key": { value: "FILE", file: true, help: "its private key (PEM)" },
    },
    load: async () => (await import("./serve.ts")).serve,
  },
  {
    name: "completion",
    summary: "write a script that completes this command line",
    usage: "bash | zsh | fish",
    details:
      "bash: source <(viam-dial completion bash); zsh: the same; fish: viam-dial completion fish | source",
    options: COMMON_OPTIONS,
    load: async () => (await import("./completion.ts")).completionOf(COMMANDS),
  },
];
