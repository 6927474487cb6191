/** Copies a file to the machine: `upload_a_file.ts [FILE]`. A piece is read when there is room for it. */
import { createHash } from "node:crypto";
import { open, stat } from "node:fs/promises";
import { basename } from "node:path";
import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { dial } from "@viam-dial/dial";
import { CopyFilesSourceType, ShellService } from "./proto/gen/viam/service/shell/v1/shell_pb.ts";
import { findRobot } from "./robot.ts";

const path = process.argv[2] ?? "LICENSE", name = basename(path), { size } = await stat(path);
const sourceType = CopyFilesSourceType.SINGLE_FILE;

/** The name and the size once, then the content, then an empty piece that ends the file: its data would be lost. */
async function* pieces() {
  yield { request: { case: "metadata" as const, value: { name: "shell", sourceType, destination: "~/" } } };
  const piece = (value: object) => ({ request: { case: "fileData" as const, value } });
  yield piece({ name, size: BigInt(size) });
  await using file = await open(path);
  const hash = createHash("sha256");
  for (let sent = 0;;) {
    const { buffer, bytesRead } = await file.read(new Uint8Array(4_096), 0, 4_096);
    if (bytesRead === 0) break;
    const data = buffer.subarray(0, bytesRead);
    hash.update(data);
    yield piece({ data });
    console.log(`${name}: ${Math.floor((sent += bytesRead) / size * 100)} %`);
  }
  yield piece({ eof: true });
  console.log(`sent ${size} bytes, sha256 ${hash.digest("hex").slice(0, 16)}`);
}

await using robot = await findRobot();
await using machine = await dial(robot.address, robot.options);
for await (const { ackLastFile } of createClient(ShellService, machine).copyFilesToMachine(pieces())) {
  if (ackLastFile) console.log("the machine has it");
}
