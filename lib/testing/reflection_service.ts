import {
  createRegistry,
  type DescExtension,
  type DescFile,
  type Registry,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import {
  ServerReflection,
  type ServerReflectionRequest,
} from "../../proto/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as AlphaServerReflection } from "../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { Methods, Routes } from "../server/routes.ts";

/**
 * gRPC server reflection, v1 and v1alpha, of every served service.
 *
 * @param methods Returns the served methods; called with the first request.
 */
export function reflectionRoutes(methods: () => Methods): Routes {
  let described: Described | undefined;
  async function* serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>) {
    described ??= describe(methods());
    /** Files that this caller has already. */
    const sent = new Set<string>();
    for await (const request of requests) {
      yield {
        validHost: request.host,
        originalRequest: request,
        messageResponse: answer(request.messageRequest, described, sent),
      };
    }
  }
  return (router) => {
    router.service(ServerReflection, { serverReflectionInfo });
    // The two versions have the same messages under different names.
    router.service(AlphaServerReflection as unknown as typeof ServerReflection, { serverReflectionInfo });
  };
}

interface Described {
  readonly services: readonly string[];
  readonly files: ReadonlyMap<string, DescFile>;
  readonly types: Registry;
}

/** Every service with a method among `methods`, their files, and what those import. */
function describe(methods: Methods): Described {
  const services = new Set<string>();
  const files = new Map<string, DescFile>();
  const add = (file: DescFile) => {
    const { name } = file.proto;
    if (files.has(name)) return;
    files.set(name, file);
    for (const dependency of file.dependencies) add(dependency);
  };
  // Of two files with the same name the user's counts: ours contain only the part that we serve.
  for (const { method } of [...methods.values()].toReversed()) {
    services.add(method.parent.typeName);
    add(method.parent.file);
  }
  return { services: [...services].toSorted(), files, types: createRegistry(...files.values()) };
}

function answer(question: ServerReflectionRequest["messageRequest"], of: Described, sent: Set<string>) {
  switch (question.case) {
    case "fileByFilename":
      return fileAnswer(of.files.get(question.value), question.value, of, sent);
    case "fileContainingSymbol":
      return fileAnswer(fileOfSymbol(question.value, of.types), question.value, of, sent);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = question.value;
      const extension = extensionsOf(containingType, of.types).find(({ number }) =>
        number === extensionNumber
      );
      return fileAnswer(extension?.file, `${containingType}, extension ${extensionNumber}`, of, sent);
    }
    case "allExtensionNumbersOfType": {
      const message = of.types.getMessage(question.value);
      if (message === undefined) return notFound(question.value);
      return {
        case: "allExtensionNumbersResponse" as const,
        value: {
          baseTypeName: question.value,
          extensionNumber: extensionsOf(question.value, of.types).map(({ number }) => number)
            .toSorted((one, other) => one - other),
        },
      };
    }
    case "listServices":
      return {
        case: "listServicesResponse" as const,
        value: { service: of.services.map((name) => ({ name })) },
      };
    default:
      return {
        case: "errorResponse" as const,
        value: { errorCode: Code.InvalidArgument, errorMessage: "no question that this server knows" },
      };
  }
}

/** The file and everything that it imports, except what the caller has already; the file itself is always included. */
function fileAnswer(file: DescFile | undefined, wanted: string, { files }: Described, sent: Set<string>) {
  if (file === undefined) return notFound(wanted);
  const fileDescriptorProto: Uint8Array[] = [];
  const add = (next: DescFile) => {
    sent.add(next.proto.name);
    fileDescriptorProto.push(toBinary(FileDescriptorProtoSchema, next.proto));
    for (const { proto: { name } } of next.dependencies) if (!sent.has(name)) add(files.get(name)!);
  };
  add(file);
  return { case: "fileDescriptorResponse" as const, value: { fileDescriptorProto } };
}

/** The file that declares a type, a method, a field or an enumeration value. */
function fileOfSymbol(symbol: string, types: Registry): DescFile | undefined {
  const found = types.get(symbol);
  if (found !== undefined) return found.file;
  const dot = symbol.lastIndexOf(".");
  const parent = dot < 0 ? undefined : types.get(symbol.slice(0, dot));
  const name = symbol.slice(dot + 1);
  const children = parent?.kind === "service"
    ? parent.methods
    : parent?.kind === "message"
    ? parent.members
    : [];
  if (children.some((child) => child.name === name)) return parent!.file;
  // The values of an enumeration are declared beside it, not in it.
  const scope = symbol.slice(0, dot + 1);
  const enumerations = [...types].filter((type) => type.kind === "enum");
  return enumerations.find(({ typeName, values }) =>
    typeName.slice(0, typeName.lastIndexOf(".") + 1) === scope &&
    values.some((value) => value.name === name)
  )?.file;
}

function extensionsOf(typeName: string, types: Registry): DescExtension[] {
  return [...types].filter((type) => type.kind === "extension").filter(({ extendee }) =>
    extendee.typeName === typeName
  );
}

function notFound(what: string) {
  return {
    case: "errorResponse" as const,
    value: { errorCode: Code.NotFound, errorMessage: `not found: ${what}` },
  };
}
