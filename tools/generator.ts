/** Generates TypeScript from .proto files. */

import manifest from "../package.json" with { type: "json" };
import { output } from "./commands.ts";

const { "@bufbuild/protobuf": protobufVersion } = manifest.dependencies;

/** The version of the generator, and of the generated code. */
export const GENERATOR: string = `@bufbuild/protoc-gen-es@${protobufVersion}`;

/** Generates from the .proto files in `folder`, into `target/gen`. */
export async function generate(folder: string, target: string): Promise<void> {
  // By npx rather than package.json, so that running the demo does not download a compiler.
  const npx = ["-y", "-p", "@bufbuild/buf@1.74.0", "-p", GENERATOR];
  await output("npx", [...npx, "buf", "generate", folder, "--template", "buf.gen.yaml", "-o", target]);
}
