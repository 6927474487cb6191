import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { diagnose } from "../../lib/cli/doctor/diagnosis.ts";
import { explainChannel, judgeAnswer, judgeChannel } from "../../lib/cli/doctor/dial_judgement.ts";
import { judgeCertificate, type SeenCertificate } from "../../lib/cli/doctor/certificate.ts";
import { Code, ConnectError } from "@connectrpc/connect";
import type { TimelineEntry } from "../../lib/core/dial/timeline.ts";
import { DialPermissionError, HostOfflineError, SignalingError } from "../../lib/errors.ts";
import type { Rung } from "../../lib/cli/doctor/ladder.ts";
import { judgeClock } from "../../lib/cli/doctor/clock.ts";
import { ALLOCATE, BINDING, decodeStun, encodeStun } from "../../lib/cli/doctor/stun_message.ts";
import { test } from "../harness.ts";

const NOW = Date.parse("2030-06-15T12:00:00Z");
const GOOD: SeenCertificate = {
  error: undefined,
  isForName: true,
  validFrom: "Jun  1 00:00:00 2030 GMT",
  validTo: "Jul  1 00:00:00 2030 GMT",
  names: "DNS:a.example, IP Address:192.0.2.1",
  issuer: "Some Authority",
};

test("judgeCertificate() checks the dates, then the name, then the issuer", () => {
  const table: readonly (readonly [change: Partial<SeenCertificate>, detail: RegExp])[] = [
    [{}, /^certificate by Some Authority, valid until 2030-07-01$/],
    [
      { error: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", validTo: "Jun 10 00:00:00 2030 GMT" },
      /expired on 2030-06-10/,
    ],
    [{ error: "CERT_NOT_YET_VALID", validFrom: "Jun 20 00:00:00 2030 GMT" }, /not valid before 2030-06-20/],
    [{ error: "any", isForName: false }, /is for a\.example, 192\.0\.2\.1, not for b\.example$/],
    [{ error: "SELF_SIGNED_CERT_IN_CHAIN" }, /signed by Some Authority, which .* trust \(SELF_SIGNED/],
  ];
  for (const [change, detail] of table) {
    const finding = judgeCertificate({ ...GOOD, ...change }, "b.example:443", "b.example", NOW);
    assert.match(finding.detail, detail);
    assert.equal(finding.verdict, change.error === undefined ? "ok" : "failed");
    if (change.error !== undefined) {
      assert.match(finding.problem!, /^The certificate of b\.example:443 /);
    }
  }
}, { pure: true });

test("judgeClock() reports a difference of more than a minute", () => {
  const at = (seconds: number) => new Date(NOW + seconds * 1000).toUTCString();
  const table: readonly (readonly [date: string | undefined, verdict: string, detail: RegExp])[] = [
    [undefined, "skipped", /does not tell/],
    ["no date", "skipped", /does not tell/],
    [at(0), "ok", /agree/],
    [at(-45), "ok", /agree/],
    [at(300), "note", /30[01] s ahead of this computer's/],
    [at(-300), "note", /(?:299|300) s behind this computer's/],
  ];
  for (const [date, verdict, detail] of table) {
    const finding = judgeClock(date, NOW - 20, NOW + 20);
    assert.equal(finding.verdict, verdict, String(date));
    assert.match(finding.detail, detail);
  }
}, { pure: true });

test("explainChannel() blames UDP only on evidence", () => {
  const base = { host: "robot", udp: true, asked: 0, answering: 0 };
  const explain = (change: Partial<typeof base>) => explainChannel({ ...base, ...change }).problem;
  assert.match(explain({ udp: false }), /^UDP is blocked on this computer/);
  assert.match(explain({ asked: 2 }), /^No STUN or TURN server answers/);
  assert.match(explain({ asked: 2, answering: 1 }), /^No network path was found/);
  assert.equal(explain({}), "No network path was found between this computer and robot");
  assert.match(explainChannel({ ...base, udp: undefined }).problem, /^No network path was found/);
}, { pure: true });

const refused = new SignalingError("Cannot dial", {
  phase: "signaling",
  address: "robot",
  cause: new ConnectError("busy", Code.Unknown),
});
const unopened = new SignalingError("Cannot dial", {
  phase: "channel",
  address: "robot",
  cause: new ConnectError("ICE failed", Code.Unavailable),
});
const entry = (phase: TimelineEntry["phase"], ok: boolean): TimelineEntry => ({
  phase,
  ok,
  atMs: 1,
  durationMs: 5,
  detail: "it",
});

test("judgeAnswer() and judgeChannel() decide by phases and classes of errors", () => {
  const base = { failure: undefined, host: "robot", udp: true, asked: 0, answering: 0 };
  const offline = new HostOfflineError("Cannot dial", { phase: "signaling", address: "robot" });
  const answered = judgeAnswer({ ...base, entries: [entry("signaling", true)], failure: unopened });
  assert.deepEqual([answered.verdict, answered.ms], ["ok", 5]);
  assert.match(judgeAnswer({ ...base, entries: [], failure: offline }).problem!, /^robot is offline/);
  const busy = judgeAnswer({ ...base, entries: [entry("signaling", false)], failure: refused });
  assert.deepEqual([busy.verdict, busy.detail], ["failed", "busy"]);
  const open = judgeChannel({ ...base, entries: [entry("channel", true)] });
  assert.deepEqual([open.verdict, open.ms], ["ok", 5]);
  const lost = judgeChannel({ ...base, entries: [entry("channel", false)], failure: unopened });
  assert.deepEqual([lost.detail, lost.problem], [
    "ICE failed",
    "No network path was found between this computer and robot",
  ]);
  const denied = new DialPermissionError("no", { phase: "engine", address: "robot", flag: "--allow-ffi" });
  assert.equal(judgeChannel({ ...base, entries: [], failure: denied }).exitCode, 5);
}, { pure: true });

test("diagnose() reports the first step that failed, or that the machine can be reached", () => {
  const rung = (name: string, verdict: Rung["verdict"], more: Partial<Rung> = {}): Rung => ({
    name,
    verdict,
    ms: 1,
    detail: "it",
    ...more,
  });
  const path = { kind: "host", protocol: "webrtc", local: "a", remote: "b", roundTripMs: 1 } as const;
  const well = diagnose("robot", [rung("TCP", "ok"), rung("UDP", "note")], path, 1.23);
  assert.equal(well.sentence, "robot can be reached over WebRTC, and answers in 1.2 ms; see UDP.");
  const local = diagnose("robot", [rung("TCP", "failed"), rung("dial", "ok")], path, 1.23);
  assert.deepEqual([local.verdict, local.exitCode], ["well", 0]);
  assert.equal(local.sentence, "robot can be reached over WebRTC, and answers in 1.2 ms; see TCP.");
  const ill = diagnose(
    "robot",
    [
      rung("UDP", "note"),
      rung("TCP", "failed", { problem: "No", advice: "try", exitCode: 4 }),
      rung("x", "failed"),
    ],
    undefined,
    undefined,
  );
  assert.deepEqual(ill, { verdict: "ill", sentence: "No; try.", exitCode: 4 });
  const plain = diagnose("robot", [rung("x", "failed")], undefined, undefined);
  assert.deepEqual(plain, { verdict: "ill", sentence: "it.", exitCode: 3 });
}, { pure: true });

const hex = (text: string) => Uint8Array.from(text.match(/../g)!, (byte) => parseInt(byte, 16));

// RFC 5769 §2.2 and §2.3, without the attributes that are not read: the mapped addresses of their sample responses.
const TRANSACTION = "b7e7a701bc34d686fa87dfae";
const IPV4 = hex(`0101000c2112a442${TRANSACTION}002000080001a147e112a643`);
const IPV6 = hex(
  `010100182112a442${TRANSACTION}002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9`,
);

test("decodeStun() reads the mapped addresses of RFC 5769", () => {
  assert.equal(decodeStun(IPV4)?.mapped, "192.0.2.1:32853");
  assert.equal(decodeStun(IPV6)?.mapped, "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
  assert.deepEqual(decodeStun(IPV4)?.transaction, hex(TRANSACTION));
}, { pure: true });

test("decodeStun() reads errors, and refuses requests and messages cut short", () => {
  const error = hex(
    `011300202112a442${TRANSACTION}0009000400000401` + "00140004" + "6d617273" +
      "001500096e6f6e63652d6f6e65000000",
  );
  const { error: refusal, realm, nonce } = decodeStun(error)!;
  assert.deepEqual([refusal?.code, realm, nonce], [401, "mars", "nonce-one"]);
  for (let length = 0; length < IPV6.length; length++) {
    assert.equal(decodeStun(IPV6.subarray(0, length)), undefined, `${length} bytes`);
  }
  assert.equal(decodeStun(encodeStun({ method: BINDING, transaction: hex(TRANSACTION) })), undefined);
}, { pure: true });

test("encodeStun() signs requests with the long-term key (RFC 8489 §9.2, §14.5)", () => {
  const transaction = hex(TRANSACTION);
  const identity = { username: "me", password: "pass", realm: "mars", nonce: "n" };
  const bytes = encodeStun({ method: ALLOCATE, transaction, identity });
  const view = new DataView(bytes.buffer);
  assert.equal(view.getUint16(0), ALLOCATE);
  assert.equal(view.getUint16(2), bytes.length - 20);
  assert.equal(bytes.length % 4, 0);
  const signature = bytes.subarray(-20);
  assert.deepEqual([...bytes.subarray(-24, -20)], [0x00, 0x08, 0x00, 0x14]);
  const key = createHash("md5").update("me:mars:pass").digest();
  const expected = createHmac("sha1", key).update(bytes.subarray(0, -24)).digest();
  assert.deepEqual([...signature], [...expected]);
}, { pure: true });
