import { type Command, COMMON_OPTIONS } from "./command.ts";
import { DIAL_OPTIONS } from "./dial_command.ts";

const DEADLINE = { value: "MS", help: "time limit of the call" };

/** Every command, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  {
    name: "ping",
    summary: "dial a machine and measure round trips",
    usage: "[ADDRESS]",
    details: "Calls a nonexistent method repeatedly: any answer shows that the machine is there. " +
      "Continues until interrupted, or until --count.",
    options: {
      ...COMMON_OPTIONS,
      "count": { value: "N", short: "c", help: "stop after N pings" },
      "interval": { value: "MS", short: "i", help: "time from one ping to the next; 1000 by default" },
      "deadline": { value: "MS", help: "time limit of an answer; 5000 by default" },
      ...DIAL_OPTIONS,
    },
    load: async () => (await import("./ping.ts")).ping,
  },
  {
    name: "doctor",
    summary: "find out why a machine cannot be reached",
    usage: "[ADDRESS]",
    details:
      "Checks each step of a dial by itself, from the name to the first call, and concludes in one sentence.",
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
      "Finds the method by gRPC server reflection. The request is JSON; - reads it from standard input, one " +
      "message a line. The default is an empty message, or standard input for a method that takes a stream. " +
      "Answers are written as they arrive, those of a stream one a line.",
    options: { ...COMMON_OPTIONS, "deadline": DEADLINE, ...DIAL_OPTIONS },
    load: async () => (await import("./call.ts")).call,
  },
  {
    name: "proxy",
    summary: "serve a machine on a local gRPC and gRPC-Web port",
    usage: "[ADDRESS]",
    details:
      "Anyone who can reach the port calls the machine with your credentials. So it listens on loopback only, " +
      "unless --listen names a host, and refuses web pages that are not of this computer, unless --allow-origin " +
      "names their origin. Runs until interrupted.",
    options: {
      ...COMMON_OPTIONS,
      "listen": {
        value: "[HOST:]PORT",
        short: "l",
        help: "address to listen on; any free port of loopback by default",
      },
      "allow-origin": { value: "ORIGIN", multiple: true, help: "origin whose pages may call; * for all" },
      ...DIAL_OPTIONS,
    },
    load: async () => (await import("./proxy.ts")).proxy,
  },
  {
    name: "serve",
    summary: "run a machine for tests",
    usage: "",
    details: "Accepts the credentials of VIAM_API_KEY and VIAM_API_KEY_ID, or generates and shows some. " +
      "Runs until interrupted.",
    options: {
      ...COMMON_OPTIONS,
      "port": { value: "N", help: "the port; any free one by default" },
      "hostname": { value: "HOST", help: "address to listen on; 127.0.0.1 by default" },
      "no-auth": { help: "accept calls without credentials" },
      "no-webrtc": { help: "serve no signaling, so that clients dial directly" },
      "cert": { value: "FILE", file: true, help: "serve TLS with this certificate (PEM)" },
      "key": { value: "FILE", file: true, help: "its private key (PEM)" },
    },
    load: async () => (await import("./serve.ts")).serve,
  },
  {
    name: "completion",
    summary: "write a completion script for a shell",
    usage: "bash | zsh | fish",
    details:
      "bash: source <(viam-dial completion bash); zsh: source <(viam-dial completion zsh); fish: viam-dial " +
      "completion fish | source",
    options: COMMON_OPTIONS,
    load: async () => (await import("./completion.ts")).completionOf(COMMANDS),
  },
];
