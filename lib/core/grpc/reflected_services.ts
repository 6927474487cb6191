import {
  create,
  createFileRegistry,
  type DescMethod,
  type DescService,
  type FileRegistry,
} from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";

/**
 * The services of a server as protobuf-es descriptors: for `createClient`, and as the `registry` option of `fromJson`
 * and `toJson`.
 */
export interface ReflectedServices extends FileRegistry {
  /** The callable services, in the server's order. */
  readonly services: readonly DescService[];
  /** Full names of the services that the server lists and cannot describe. */
  readonly undescribed: readonly string[];
  /** Finds a method by `package.Service/Method`, with or without a slash before it. */
  getMethod(path: string): DescMethod | undefined;
}

/** Returns every import of `files` that is not among them. */
export function missingImports(files: ReadonlyMap<string, FileDescriptorProto>): string[] {
  const imports = [...files.values()].flatMap(({ dependency }) => dependency);
  return [...new Set(imports)].filter((name) => !files.has(name));
}

/**
 * Makes a registry of descriptors. A service whose file is incomplete is left out, and the others are kept: Go programs
 * lack the files of options that they were built without. A missing import becomes an empty file, which does no harm if
 * nothing of it is used.
 *
 * @param names Full names of the services.
 * @param files By name.
 */
export function assembleServices(
  names: readonly string[],
  files: ReadonlyMap<string, FileDescriptorProto>,
): ReflectedServices {
  const whole = new Map(files);
  for (const name of missingImports(files)) {
    whole.set(name, create(FileDescriptorProtoSchema, { name, syntax: "proto3" }));
  }
  const parts = () => [...whole.keys()].map((name) => registryOf([name], whole));
  const registry = registryOf([...whole.keys()], whole) ??
    createFileRegistry(...parts().filter((part) => part !== undefined));
  return Object.assign(registry, {
    services: names.map((name) => registry.getService(name)).filter((service) => service !== undefined),
    undescribed: names.filter((name) => registry.getService(name) === undefined),
    getMethod(path: string) {
      const [service = "", name] = path.replace(/^\//, "").split("/");
      return registry.getService(service)?.methods.find((method) => method.name === name);
    },
  });
}

/** Returns undefined when one of its files, or an import, refers to something missing. */
function registryOf(
  names: readonly string[],
  files: ReadonlyMap<string, FileDescriptorProto>,
): FileRegistry | undefined {
  const file: FileDescriptorProto[] = [];
  const seen = new Set<string>();
  const add = (name: string) => {
    const proto = files.get(name);
    if (proto === undefined || seen.has(name)) return;
    seen.add(name);
    for (const dependency of proto.dependency) add(dependency);
    file.push(proto);
  };
  for (const name of names) add(name);
  try {
    return createFileRegistry(create(FileDescriptorSetSchema, { file }));
  } catch {
    return undefined;
  }
}
