import { fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
import {
  ServerReflection,
  type ServerReflectionRequest,
} from "../../proto/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as AlphaServerReflection } from "../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { assembleServices, missingImports, type ReflectedServices } from "../core/grpc/reflected_services.ts";

type Question = ServerReflectionRequest["messageRequest"];

/** Limit of a round of questions, in milliseconds. */
const ROUND_TIMEOUT_MS = 20_000;

/** Most rounds of questions for imports. Servers send all imports with the first answer, or nest them less deeply. */
const MAX_ROUNDS = 32;

/**
 * Asks a server for its services by gRPC server reflection: version 1, or v1alpha if the server has no other. It takes
 * one round trip for the names, one for their files, and one for each round of imports that the server leaves out.
 *
 * @throws ConnectError `Unimplemented` when the server has neither version
 */
export async function reflectServices(transport: Transport): Promise<ReflectedServices> {
  const { ask, names } = await open(transport);
  const files = new Map<string, FileDescriptorProto>();

  async function fetchFiles(questions: readonly Question[]): Promise<void> {
    if (questions.length === 0) return;
    for (const answer of await ask(questions)) {
      if (answer.case !== "fileDescriptorResponse") continue;
      for (const bytes of answer.value.fileDescriptorProto) {
        const file = fromBinary(FileDescriptorProtoSchema, bytes);
        files.set(file.name, file);
      }
    }
  }

  await fetchFiles(names.map((value) => ({ case: "fileContainingSymbol", value })));
  const asked = new Set<string>();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const missing = missingImports(files).filter((name) => !asked.has(name));
    for (const name of missing) asked.add(name);
    await fetchFiles(missing.map((value) => ({ case: "fileByFilename", value })));
  }
  return assembleServices(names, files);
}

/** Finds the version that the server has, and the names of its services. */
async function open(transport: Transport) {
  // The two versions have the same messages under different names.
  for (const service of [ServerReflection, AlphaServerReflection as unknown as typeof ServerReflection]) {
    const client = createClient(service, transport);
    /** Asks questions in one call; the answers are in the same order. */
    const ask = (questions: readonly Question[]) => {
      const requests = createAsyncIterable(questions.map((messageRequest) => ({ messageRequest })));
      const responses = client.serverReflectionInfo(requests, { timeoutMs: ROUND_TIMEOUT_MS });
      return Array.fromAsync(responses, ({ messageResponse }) => messageResponse);
    };
    try {
      const [answer] = await ask([{ case: "listServices", value: "*" }]);
      if (answer?.case !== "listServicesResponse") {
        throw new ConnectError("the server's reflection does not list its services", Code.Internal);
      }
      return { ask, names: answer.value.service.map(({ name }) => name) };
    } catch (error) {
      if (ConnectError.from(error).code !== Code.Unimplemented) throw error;
    }
  }
  throw new ConnectError(
    "the server has no reflection, so its services cannot be listed; use their generated code",
    Code.Unimplemented,
  );
}
