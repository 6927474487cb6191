import assert from "node:assert/strict";
import { create, createFileRegistry, type DescService, fromJson, toJson } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { EchoService, type MachineOptions, ProbeService, startMachine } from "../../lib/testing/mod.ts";
import { assembleServices } from "../../lib/core/grpc/reflected_services.ts";
import { dial, DialOptions, type ViamChannel } from "../../mod.ts";
import {
  ExtensionRequestSchema,
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
} from "../../proto/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as AlphaServerReflection } from "../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { PayloadSchema } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";

type Question = ServerReflectionRequest["messageRequest"];

const PATHS: readonly (readonly [name: string, options: DialOptions])[] = [
  ["WebRTC", {}],
  ["gRPC-Web", { disableWebrtc: true }],
  ["native gRPC", { disableWebrtc: true, protocol: "grpc" }],
];

async function withChannel(
  use: (channel: ViamChannel, machine: Awaited<ReturnType<typeof startMachine>>) => Promise<void>,
  options: DialOptions = {},
  machineOptions: MachineOptions = {},
): Promise<void> {
  await using machine = await startMachine(machineOptions);
  await using channel = await dial(machine.address, {
    ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
    insecure: true,
    ...options,
  });
  await use(channel, machine);
}

const V1 = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const ALPHA = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

const unimplemented = {
  // deno-lint-ignore require-yield
  async *serverReflectionInfo() {
    throw new ConnectError("not here", Code.Unimplemented);
  },
};

/** A service whose file extends a message with the fields 9 and 100. */
function extendedService(): DescService {
  const extension = (name: string, number: number) => ({
    name,
    number,
    label: FieldDescriptorProto_Label.OPTIONAL,
    type: FieldDescriptorProto_Type.INT32,
    extendee: ".extended.Thing",
  });
  const file = create(FileDescriptorProtoSchema, {
    name: "extended.proto",
    package: "extended",
    syntax: "proto2",
    messageType: [{ name: "Thing", extensionRange: [{ start: 5, end: 1000 }] }],
    extension: [extension("late", 100), extension("early", 9)],
    service: [{
      name: "Things",
      method: [{ name: "Get", inputType: ".extended.Thing", outputType: ".extended.Thing" }],
    }],
  });
  return assembleServices(["extended.Things"], new Map([[file.name, file]])).services[0]!;
}

for (const [name, options] of PATHS) {
  test(`reflect() describes the services of the machine over ${name}, for calls of every kind`, async () => {
    await withChannel(async (channel) => {
      const reflection = await channel.reflect();
      assert.deepEqual(reflection.undescribed, []);
      const names = reflection.services.map(({ typeName }) => typeName);
      for (const wanted of [ProbeService.typeName, EchoService.typeName, ServerReflection.typeName]) {
        assert.ok(names.includes(wanted), `${wanted} is not among ${names.join(", ")}`);
      }
      const service = reflection.getService(ProbeService.typeName)!;
      assert.deepEqual(service.methods.map(({ name }) => name), ProbeService.methods.map(({ name }) => name));
      // deno-lint-ignore no-explicit-any
      const client = createClient(service, channel) as any;
      const payload = reflection.getMessage(PayloadSchema.typeName)!;
      const message = fromJson(payload, { data: "AAEC" });
      assert.deepEqual(toJson(payload, await client.echo(message)), { data: "AAEC" });
      let count = 0;
      for await (const _ of client.download({ size: 5, count: 3 })) count++;
      assert.equal(count, 3);
      const upload = async function* () {
        yield message;
        yield message;
      };
      assert.equal((await client.upload(upload())).count, 2);
      const back: unknown[] = [];
      for await (const answer of client.exchange(upload())) back.push(toJson(payload, answer));
      assert.deepEqual(back, [{ data: "AAEC" }, { data: "AAEC" }]);
    }, options);
  });
}

test("reflect() describes a user's services, even if they include a file of which the machine has a part", async () => {
  const common = create(FileDescriptorProtoSchema, {
    name: "viam/common/v1/common.proto",
    package: "viam.common.v1",
    syntax: "proto3",
    messageType: ["ResourceName", "Readings"].map((name) => ({
      name,
      field: [{
        name: "name",
        number: 1,
        type: FieldDescriptorProto_Type.STRING,
        label: FieldDescriptorProto_Label.OPTIONAL,
      }],
    })),
  });
  const readings = ".viam.common.v1.Readings";
  const service = create(FileDescriptorProtoSchema, {
    name: "viam/service/own/v1/own.proto",
    package: "viam.service.own.v1",
    syntax: "proto3",
    dependency: [common.name],
    service: [{
      name: "OwnService",
      method: [{ name: "Read", inputType: readings, outputType: readings }],
    }],
  });
  const own = createFileRegistry(create(FileDescriptorSetSchema, { file: [common, service] }))
    .getService("viam.service.own.v1.OwnService")!;
  await using machine = await startMachine({ auth: "none", routes: (router) => router.service(own, {}) });
  await using channel = await dial(machine.address, { insecure: true, disableWebrtc: true });
  const { undescribed, getMethod } = await channel.reflect();
  assert.deepEqual(undescribed, []);
  assert.equal(getMethod("viam.service.own.v1.OwnService/Read")?.input.typeName, "viam.common.v1.Readings");
});

test("reflect() asks once for each connection, and again after a failure", async () => {
  await withChannel(async (channel, machine) => {
    machine.faults = { refuse: Code.Internal };
    await assert.rejects(channel.reflect(), { code: Code.Internal });
    machine.faults = {};
    const before = machine.callsTo(V1).webrtc;
    const [one, other] = await Promise.all([channel.reflect(), channel.channel.reflect()]);
    // Their difference would be far too long to print.
    assert.ok(one === other);
    assert.ok(await channel.reflect() === one);
    assert.equal(machine.callsTo(V1).webrtc - before, 2, "names, and files");
    // The next connection may lead to another version of the machine.
    const back = new Promise((resolve) => channel.addEventListener("connected", resolve));
    machine.dropConnections();
    await back;
    assert.ok(await channel.reflect() !== one);
  });
});

test("reflect() falls back to v1alpha, and is Unimplemented without reflection", async () => {
  await withChannel(
    async (channel, machine) => {
      const reflection = await channel.reflect();
      assert.ok(reflection.getMethod("viam_dial.probe.v1.ProbeService/Echo"));
      assert.ok(machine.callsTo(ALPHA).webrtc > 0);
    },
    {},
    { routes: (router) => router.service(ServerReflection, unimplemented) },
  );
  await withChannel(
    async (channel) => {
      await assert.rejects(channel.reflect(), { code: Code.Unimplemented, rawMessage: /no reflection/ });
    },
    {},
    {
      routes: (router) => {
        router.service(ServerReflection, unimplemented);
        router.service(AlphaServerReflection, unimplemented);
      },
    },
  );
});

test("reflect() works where grpc-web is forced", async () => {
  await withChannel(async (channel) => void await channel.reflect(), {
    disableWebrtc: true,
    protocol: "grpc-web",
  });
});

test("reflect() ends the wait with the signal's reason, and the request goes on", async () => {
  await withChannel(async (channel, machine) => {
    machine.faults = { silent: true, only: (path) => path === V1 };
    const reason = new Error("enough");
    const stop = new AbortController();
    const waiting = channel.reflect({ signal: stop.signal });
    stop.abort(reason);
    await assert.rejects(waiting, (error) => error === reason);
    await assert.rejects(channel.reflect({ signal: stop.signal }), (error) => error === reason);
  });
});

test("the machine's reflection answers every kind of request, in both versions", async () => {
  await withChannel(
    async (channel) => {
      for (const service of [ServerReflection, AlphaServerReflection as unknown as typeof ServerReflection]) {
        const client = createClient(service, channel);
        const ask = async (messageRequest: Question) => {
          const request = create(ServerReflectionRequestSchema, { host: "h", messageRequest });
          const requests = (async function* () {
            yield request;
          })();
          for await (const answer of client.serverReflectionInfo(requests)) {
            assert.equal(answer.validHost, "h");
            return answer.messageResponse;
          }
          return assert.fail("no answer");
        };
        const files = async (messageRequest: Question) => {
          const { case: kind, value } = await ask(messageRequest);
          return kind === "fileDescriptorResponse" ? value.fileDescriptorProto.length : kind;
        };
        for (
          const value of [
            "viam_dial.probe.v1.ProbeService",
            "viam_dial.probe.v1.ProbeService.Echo",
            "viam_dial.probe.v1.Payload",
            "viam_dial.probe.v1.Payload.data",
            "viam.robot.v1.GetMachineStatusResponse.STATE_RUNNING",
          ]
        ) {
          const count = await files({ case: "fileContainingSymbol", value });
          assert.ok(typeof count === "number" && count > 0, `${value}: ${count}`);
        }
        assert.equal(await files({ case: "fileContainingSymbol", value: "none.Such" }), "errorResponse");
        assert.equal(
          await files({ case: "fileByFilename", value: "google/protobuf/duration.proto" }),
          1,
        );
        assert.equal(await files({ case: "fileByFilename", value: "none.proto" }), "errorResponse");
        const containingType = "extended.Thing";
        const numbers = await ask({ case: "allExtensionNumbersOfType", value: containingType });
        assert.ok(numbers.case === "allExtensionNumbersResponse");
        assert.deepEqual(numbers.value.extensionNumber, [9, 100]);
        assert.equal(
          await files({
            case: "fileContainingExtension",
            value: create(ExtensionRequestSchema, { containingType, extensionNumber: 100 }),
          }),
          1,
        );
        assert.equal(
          await files({
            case: "fileContainingExtension",
            value: create(ExtensionRequestSchema, { containingType, extensionNumber: 10 }),
          }),
          "errorResponse",
        );
        assert.equal((await ask({ case: undefined })).case, "errorResponse");
      }
    },
    {},
    { routes: (router) => router.service(extendedService(), {}) },
  );
});
