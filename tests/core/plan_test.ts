import assert from "node:assert/strict";
import { type Address, parseAddress } from "../../lib/core/net/address.ts";
import { localNameOf, planDial, planLocalDial, type PlanOptions } from "../../lib/core/dial/plan.ts";
import { urlOf } from "../../lib/core/net/target.ts";
import { test } from "../harness.ts";

const defaults: PlanOptions = {
  insecure: false,
  disableWebrtc: false,
  signalingAddress: undefined,
  webrtc: {},
};

function read(typed: string): Address {
  const address = parseAddress(typed);
  assert.ok(!("problem" in address));
  return address;
}

const plans: readonly [address: string, options: Partial<PlanOptions>, expected: string][] = [
  ["robot.abc.viam.cloud", {}, "webrtc https://app.viam.com:443 host robot.abc.viam.cloud public"],
  ["robot.abc.viam.cloud:443", {}, "webrtc https://app.viam.com:443 host robot.abc.viam.cloud:443 public"],
  ["robot.abc.viamstg.cloud", {}, "webrtc https://app.viam.dev:443 host robot.abc.viamstg.cloud public"],
  ["r.robot.viaminternal", {}, "webrtc https://app.viaminternal:8089 host r.robot.viaminternal public"],
  [
    "robot.abc.viam.cloud",
    { insecure: true },
    "webrtc https://app.viam.com:443 host robot.abc.viam.cloud public",
  ],
  // By label, not by text (protocol §7 #11).
  [
    "robot.viam.cloud.example",
    {},
    "webrtc https://robot.viam.cloud.example:443 host robot.viam.cloud.example own public",
  ],
  ["notviam.cloud", {}, "webrtc https://notviam.cloud:443 host notviam.cloud own public"],
  ["robot.abc.local.viam.cloud", {}, "direct https://robot.abc.local.viam.cloud:443 local name"],
  ["127.0.0.1:8080", { insecure: true }, "webrtc http://127.0.0.1:8080 host 127.0.0.1:8080 own"],
  ["127.0.0.1:8080", {}, "webrtc https://127.0.0.1:8080 host 127.0.0.1:8080 own"],
  ["[::1]:8080", {}, "webrtc https://[::1]:8080 host [::1]:8080 own"],
  ["http://10.0.0.7", {}, "webrtc http://10.0.0.7:80 host 10.0.0.7 own"],
  ["localhost:8080", { insecure: true }, "direct http://localhost:8080 local name"],
  ["robot.local", {}, "direct https://robot.local:443 local name"],
  ["robot.example", { disableWebrtc: true }, "direct https://robot.example:443 disableWebrtc"],
  ["robot.example", { disableWebrtc: true, insecure: true }, "direct http://robot.example:80 disableWebrtc"],
  ["unix:/run/x.sock", {}, "direct http://localhost unix socket"],
  [
    "robot.example",
    { signalingAddress: read("http://127.0.0.1:9000") },
    "webrtc http://127.0.0.1:9000 host robot.example",
  ],
  // An explicit signaling server makes WebRTC possible for a local name.
  [
    "robot.local",
    { signalingAddress: read("127.0.0.1:9000"), webrtc: { signalingInsecure: true } },
    "webrtc http://127.0.0.1:9000 host robot.local",
  ],
  ["robot", { signalingAddress: read("sig.example") }, "webrtc https://sig.example:443 host robot public"],
];

for (const [address, options, expected] of plans) {
  test(`planDial() ${address} ${Object.keys(options).join(" ")}`, () => {
    const plan = planDial(read(address), { ...defaults, ...options });
    const text = plan.kind === "direct"
      ? `direct ${urlOf(plan.target)} ${plan.reason}`
      : `webrtc ${urlOf(plan.signaling)} host ${plan.host}${plan.ownSignaling ? " own" : ""}${
        plan.publicNetwork ? " public" : ""
      }`;
    assert.equal(text, expected);
  }, { pure: true });
}

const names: readonly [address: string, name: string | undefined][] = [
  ["robot.abc.viam.cloud", "robot.abc.viam.cloud"],
  ["robot", "robot"],
  ["robot.local", "robot.local"],
  ["robot.abc.viam.cloud:443", undefined],
  ["https://robot.abc.viam.cloud", undefined],
  ["10.0.0.7", undefined],
  ["[fd00::1]", undefined],
  ["localhost", undefined],
  ["unix:/run/x.sock", undefined],
];

for (const [address, name] of names) {
  test(`localNameOf() ${address}`, () => {
    assert.equal(localNameOf(read(address)), name);
  }, { pure: true });
}

const locals: readonly [
  address: string,
  speaks: { webrtc: boolean },
  options: { insecure?: boolean; disableWebrtc?: boolean },
  expected: string,
][] = [
  ["robot", { webrtc: true }, {}, "webrtc https://10.0.0.7:8080 host robot"],
  ["robot", { webrtc: true }, { insecure: true }, "webrtc http://10.0.0.7:8080 host robot"],
  ["robot", { webrtc: false }, {}, "direct https://10.0.0.7:8080"],
  ["robot", { webrtc: true }, { disableWebrtc: true }, "direct https://10.0.0.7:8080"],
  // A machine that answers to a cloud name must prove it, whatever the options say.
  [
    "r.a.viam.cloud",
    { webrtc: true },
    { insecure: true },
    "webrtc https://10.0.0.7:8080 host r.a.viam.cloud",
  ],
  ["r.a.viam.cloud", { webrtc: false }, { insecure: true }, "direct https://10.0.0.7:8080"],
];

for (const [address, speaks, options, expected] of locals) {
  test(`planLocalDial() ${address} ${JSON.stringify({ ...speaks, ...options })}`, () => {
    const plan = planLocalDial(read(address), { address: "10.0.0.7", port: 8080, ...speaks }, {
      insecure: false,
      disableWebrtc: false,
      ...options,
    });
    const text = plan.kind === "direct"
      ? `direct ${urlOf(plan.target)}`
      : `webrtc ${urlOf(plan.signaling)} host ${plan.host}`;
    assert.equal(text, expected);
  }, { pure: true });
}
