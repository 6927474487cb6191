import { type MachineOptions, startMachine } from "../../lib/testing/mod.ts";
import { RUNTIME } from "../../lib/runtime/runtime.ts";
import { dial, DialOptions } from "../../mod.ts";
import { sharedCertificates } from "../certificates.ts";
import { type Opened, testTransport } from "./suite.ts";

async function open(machineOptions: MachineOptions, options: DialOptions): Promise<Opened> {
  const machine = await startMachine(machineOptions);
  try {
    const transport = await dial(machine.address, {
      ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
      ...options,
    });
    return {
      transport,
      async close() {
        await transport.close();
        await machine.close();
      },
    };
  } catch (error) {
    await machine.close();
    throw error;
  }
}

async function openSecure(options: DialOptions): Promise<Opened> {
  const { ca, cert, key } = await sharedCertificates();
  return await open({ tls: { cert, key } }, { ...options, tls: { ca } });
}

const skipWeb = RUNTIME === "bun" ? "its fetch holds 256 calls at a time" : undefined;

testTransport({
  name: "embedded machine over WebRTC",
  paths: ["webrtc"],
  keepsLists: true,
  open: () => open({}, { insecure: true }),
});

testTransport({
  name: "embedded machine directly",
  paths: ["grpc"],
  keepsLists: false,
  open: () => open({}, { insecure: true, disableWebrtc: true }),
});

testTransport({
  name: "embedded machine directly, gRPC-Web",
  paths: ["grpc-web"],
  keepsLists: false,
  skip: skipWeb,
  open: () => open({}, { insecure: true, disableWebrtc: true, protocol: "grpc-web" }),
});

testTransport({
  name: "embedded machine over TLS",
  paths: ["grpc"],
  keepsLists: false,
  open: () => openSecure({ disableWebrtc: true }),
});

testTransport({
  name: "embedded machine over TLS, gRPC-Web",
  paths: ["grpc-web"],
  keepsLists: false,
  skip: skipWeb,
  open: () => openSecure({ disableWebrtc: true, protocol: "grpc-web" }),
});

testTransport({
  name: "embedded machine over WebRTC, signaled over TLS",
  paths: ["webrtc"],
  isAsAnother: true,
  keepsLists: true,
  open: () => openSecure({}),
});
