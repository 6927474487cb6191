import type { Run } from "./command.ts";
import { addressOf, dialMachine } from "./dial_command.ts";
import { oneAddress } from "./arguments.ts";
import { EXIT } from "./exit_code.ts";

/** Lists services. */
export const list: Run = async (args, terminal) => {
  await using channel = await dialMachine(addressOf(oneAddress("list", args), terminal), args, terminal);
  const { services, undescribed } = await channel.reflect({ signal: terminal.signal });
  if (args.has("json")) {
    const described = services.map(({ typeName, methods }) => ({
      name: typeName,
      methods: methods.map(({ name, methodKind, input, output }) => ({
        name,
        kind: methodKind,
        input: input.typeName,
        output: output.typeName,
      })),
    }));
    await terminal.write(`${JSON.stringify({ services: described, undescribed })}\n`);
    return EXIT.ok;
  }
  const lines = args.has("methods")
    ? services.flatMap(({ typeName, methods }) => methods.map(({ name }) => `${typeName}/${name}`))
    : [...services.map(({ typeName }) => typeName), ...undescribed];
  await terminal.write(lines.map((line) => `${line}\n`).join(""));
  if (undescribed.length > 0) {
    terminal.warn(`the machine does not describe ${undescribed.join(", ")}\n`);
  }
  return EXIT.ok;
};
