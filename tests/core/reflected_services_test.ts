import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { assembleServices, missingImports } from "../../lib/core/grpc/reflected_services.ts";
import { test } from "../harness.ts";

const { OPTIONAL } = FieldDescriptorProto_Label;
const { MESSAGE } = FieldDescriptorProto_Type;

/**
 * A file `NAME.proto` with a message `NAME.Thing`, which has a field of each type in `fields`, and a service that uses
 * it.
 */
function file(name: string, imports: readonly string[], fields: readonly string[] = []): FileDescriptorProto {
  return create(FileDescriptorProtoSchema, {
    name: `${name}.proto`,
    package: name,
    syntax: "proto3",
    dependency: [...imports],
    messageType: [{
      name: "Thing",
      field: fields.map((typeName, index) => ({
        name: `field_${index}`,
        number: index + 1,
        label: OPTIONAL,
        type: MESSAGE,
        typeName,
      })),
    }],
    service: [{
      name: "Things",
      method: [{ name: "Get", inputType: `.${name}.Thing`, outputType: `.${name}.Thing` }],
    }],
  });
}

function filesOf(...files: FileDescriptorProto[]): Map<string, FileDescriptorProto> {
  return new Map(files.map((proto) => [proto.name, proto]));
}

test("missingImports() names each missing import once", () => {
  const files = filesOf(file("a", ["b.proto", "c.proto"]), file("b", ["c.proto"]));
  assert.deepEqual(missingImports(files), ["c.proto"]);
  assert.deepEqual(missingImports(filesOf(file("a", []))), []);
}, { pure: true });

test("assembleServices() finds services and methods in files of any order", () => {
  const files = filesOf(
    file("a", ["b.proto"], [".b.Thing"]),
    file("b", ["c.proto"], [".c.Thing"]),
    file("c", []),
  );
  const found = assembleServices(["b.Things", "a.Things"], files);
  assert.deepEqual(found.services.map(({ typeName }) => typeName), ["b.Things", "a.Things"]);
  assert.deepEqual(found.undescribed, []);
  for (const path of ["a.Things/Get", "/a.Things/Get"]) {
    assert.equal(found.getMethod(path)?.input.typeName, "a.Thing");
  }
  for (const path of ["a.Things/Put", "a.Things", "", "z.Things/Get"]) {
    assert.equal(found.getMethod(path), undefined);
  }
  const field = found.getMessage("a.Thing")?.fields[0];
  assert.equal(field?.message, found.getMessage("b.Thing"));
}, { pure: true });

test("assembleServices() ignores a missing import that nothing refers to", () => {
  const found = assembleServices(["a.Things"], filesOf(file("a", ["google/api/annotations.proto"])));
  assert.equal(found.services.length, 1);
}, { pure: true });

test("assembleServices() leaves out the service whose types are missing, and keeps the others", () => {
  const files = filesOf(
    file("a", ["gone.proto"], [".gone.Thing"]),
    file("b", ["c.proto"], [".c.Thing"]),
    file("c", []),
  );
  const found = assembleServices(["a.Things", "b.Things", "d.Things"], files);
  assert.deepEqual(found.services.map(({ typeName }) => typeName), ["b.Things"]);
  assert.deepEqual(found.undescribed, ["a.Things", "d.Things"]);
  assert.equal(found.getMessage("b.Thing")?.fields[0]?.message?.typeName, "c.Thing");
}, { pure: true });

test("assembleServices() leaves out files that import each other, which protobuf forbids", () => {
  const files = filesOf(file("a", ["b.proto"]), file("b", ["a.proto"]), file("c", []));
  assert.deepEqual(assembleServices(["a.Things", "b.Things", "c.Things"], files).undescribed, [
    "a.Things",
    "b.Things",
  ]);
}, { pure: true });
