import assert from "node:assert/strict";
import { create, createRegistry, type DescMessage, toJson } from "@bufbuild/protobuf";
import { type Any, anyPack, file_google_protobuf_struct } from "@bufbuild/protobuf/wkt";
import { answerJson, jsonText } from "../../lib/cli/answer_json.ts";
import { UsageError } from "../../lib/cli/arguments.ts";
import { parseRequests } from "../../lib/cli/request_json.ts";
import { requestMessage } from "../../lib/cli/request_message.ts";
import { startMachine } from "../../lib/testing/mod.ts";
import { test } from "../harness.ts";
import { runCommand } from "./command_line.ts";
import {
  file_viam_dial_test_v1_numbers,
  NumbersSchema,
  NumbersService,
} from "./proto/gen/viam_dial/test/v1/numbers_pb.ts";

const REGISTRY = createRegistry(file_viam_dial_test_v1_numbers, file_google_protobuf_struct);
const schema: DescMessage = NumbersSchema;
const BIG = "9007199254740993"; // 2^53 + 1

/** Reads a request as the command line does, and writes it back. */
function echoed(json: string): unknown {
  const [value] = parseRequests(json);
  return answerJson(schema, requestMessage(schema, value, REGISTRY), REGISTRY);
}

const exact: readonly (readonly [json: string, answer: unknown])[] = [
  [`{"int64": ${BIG}}`, { int64: BIG }],
  [`{"int64": -${BIG}}`, { int64: `-${BIG}` }],
  ['{"int64": -9223372036854775808}', { int64: "-9223372036854775808" }],
  ['{"uint64": 18446744073709551615}', { uint64: "18446744073709551615" }],
  [`{"sint64": ${BIG}}`, { sint64: BIG }],
  [`{"fixed64": ${BIG}}`, { fixed64: BIG }],
  [`{"sfixed64": ${BIG}}`, { sfixed64: BIG }],
  [`{"int64": 9.007199254740993e15}`, { int64: BIG }],
  [`{"int64": ${BIG}.0}`, { int64: BIG }],
  [`{"int64": ${BIG}00e-2}`, { int64: BIG }],
  [`{"int64": "${BIG}"}`, { int64: BIG }],
  [`{"list": [1, ${BIG}]}`, { list: ["1", BIG] }],
  [`{"byName": {"a": ${BIG}}}`, { byName: { a: BIG } }],
  [`{"names": {"${BIG}": "a"}}`, { names: { [BIG]: "a" } }],
  [`{"nested": {"nested": {"int64": ${BIG}}}}`, { nested: { nested: { int64: BIG } } }],
  [`{"wrapped": ${BIG}, "unsignedWrapped": ${BIG}}`, { wrapped: BIG, unsignedWrapped: BIG }],
  [
    `{"any": {"@type": "type.googleapis.com/viam_dial.test.v1.Numbers", "int64": ${BIG}}}`,
    { any: { "@type": "type.googleapis.com/viam_dial.test.v1.Numbers", int64: BIG } },
  ],
  // A double holds these, and so do the texts that look like such numbers.
  ['{"double": 9007199254740992}', { double: 9007199254740992 }],
  // As JavaScript and this program print doubles from 2^53 to 1e21: with the shortest digits.
  [`{"double": ${2 ** 63}, "fixed64": ${2 ** 63}}`, { double: 2 ** 63, fixed64: "9223372036854776000" }],
  [`{"struct": {"a": [${2 ** 63}]}, "wrappedDouble": 1e23}`, {
    struct: { a: [2 ** 63] },
    wrappedDouble: 1e23,
  }],
  [
    `{"any": {"@type": "type.googleapis.com/google.protobuf.Value", "value": ${2 ** 63}}}`,
    { any: { "@type": "type.googleapis.com/google.protobuf.Value", value: 2 ** 63 } },
  ],
  ['{"double": 1e300, "doubles": [0.1, -0.0]}', { double: 1e300, doubles: [0.1, -0] }],
  [`{"text": "${BIG}", "struct": {"${BIG}": "${BIG}"}}`, { text: BIG, struct: { [BIG]: BIG } }],
  ['{"struct": {"a": 1.5, "b": [1e21]}}', { struct: { a: 1.5, b: [1e21] } }],
  ['{"double": "NaN", "float": "-Infinity"}', { double: "NaN", float: "-Infinity" }],
  ['{"duration": "-1.500s", "timestamp": "2024-02-29T23:59:59.5+02:00"}', {
    duration: "-1.500s",
    timestamp: "2024-02-29T21:59:59.500Z",
  }],
];

for (const [json, answer] of exact) {
  test(`call keeps ${json}`, () => assert.deepEqual(echoed(json), answer), { pure: true });
}

const refused: readonly (readonly [json: string, text: RegExp])[] = [
  [`{"double": ${BIG}}`, /double/],
  [`{"doubles": [1, ${BIG}]}`, /doubles/],
  [`{"wrappedDouble": ${BIG}}`, /DoubleValue/],
  [`{"struct": {"a": {"b": [${BIG}]}}}`, /Value/],
  [`{"value": ${BIG}}`, /Value/],
  [`{"values": [${BIG}]}`, /Value/],
  [`{"readings": {"a": ${BIG}}}`, /Value/],
  [`{"text": ${BIG}}`, /text/],
  [`{"int32": ${BIG}}`, /int32/],
  ['{"int64": 9223372036854775808}', /int64/],
  ['{"uint64": -1}', /uint64/],
  ['{"int64": 1.5}', /int64/],
  ['{"int64": 1e300}', /int64/],
  ['{"float": 3.5e38}', /float/],
  ...["1s1", "1", "s", ".5s", "+1s", "1.0000000001s"].map((value) =>
    [`{"duration": "${value}"}`, /duration/] as const
  ),
  ...["2026-02-30T00:00:00Z", "2025-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-04-31T01:00:00+02:00"]
    .map((value) => [`{"timestamp": "${value}"}`, /time/i] as const),
  ['{"double": 1e400}', /number out of range: 1e400/],
  ['{"struct": {"a": -1e400}}', /number out of range: -1e400/],
];

for (const [json, text] of refused) {
  test(`call refuses ${json}`, () => assert.throws(() => echoed(json), text), { pure: true });
}

const numbers = (init: Parameters<typeof create<typeof NumbersSchema>>[1]) => create(NumbersSchema, init);
const double = (value: number) => ({ kind: { case: "numberValue" as const, value } });
const unknownAny: Any = {
  $typeName: "google.protobuf.Any",
  typeUrl: "x/no.Such",
  value: Uint8Array.of(1, 2),
};

test("answerJson() writes what protobuf's JSON has no form for", () => {
  const nested = anyPack(NumbersSchema, numbers({ value: double(-Infinity) }));
  const cases: readonly (readonly [init: Parameters<typeof numbers>[0], json: unknown])[] = [
    [{ value: double(NaN) }, { value: "NaN" }],
    [{ struct: { a: Infinity, b: [NaN, { c: 1 }], d: null } }, {
      struct: { a: "Infinity", b: ["NaN", { c: 1 }], d: null },
    }],
    [{ values: { values: [double(-Infinity), double(2)] } }, { values: ["-Infinity", 2] }],
    [{ readings: { a: double(NaN), b: double(1) } }, { readings: { a: "NaN", b: 1 } }],
    [{ value: {} }, { value: null }],
    [{ any: unknownAny }, { any: { "@type": "x/no.Such", "@value": "AQI=" } }],
    [{ any: nested }, {
      any: { "@type": "type.googleapis.com/viam_dial.test.v1.Numbers", value: "-Infinity" },
    }],
    [{ timestamp: { seconds: 10n ** 15n } }, { timestamp: { seconds: "1000000000000000" } }],
    [{ duration: { seconds: 10n ** 15n, nanos: 1 } }, {
      duration: { seconds: "1000000000000000", nanos: 1 },
    }],
    [
      { value: double(NaN), int64: 2n ** 60n, list: [1n], names: { "5": "x" }, text: "t", float: NaN },
      { value: "NaN", int64: `${2n ** 60n}`, list: ["1"], names: { "5": "x" }, text: "t", float: "NaN" },
    ],
    [{ nested: { value: double(NaN), timestamp: { seconds: 0n } } }, {
      nested: { value: "NaN", timestamp: "1970-01-01T00:00:00Z" },
    }],
  ];
  for (const [init, json] of cases) {
    const message = numbers(init);
    assert.throws(() => toJson(NumbersSchema, message, { registry: REGISTRY }));
    assert.deepEqual(answerJson(schema, message, REGISTRY), json);
  }
}, { pure: true });

test("jsonText() keeps the sign of zero", () => {
  assert.equal(jsonText({ double: -0, doubles: [0, -0] }, 0), '{"double":-0,"doubles":[0,-0]}');
}, { pure: true });

test("parseRequests() names a number out of range", () => {
  assert.throws(
    () => parseRequests("[1e999]"),
    (error) => error instanceof UsageError && /1e999/.test(error.message),
  );
}, { pure: true });

test("call sends exact numbers, refuses others with 2, and shows NaN and what it does not know", async () => {
  await using machine = await startMachine({
    auth: "none",
    routes: (router) =>
      router.service(NumbersService, {
        echo: (request) => request,
        strange: () => ({
          struct: { celsius: NaN, limit: Infinity },
          value: double(-Infinity),
          any: unknownAny,
          double: NaN,
        }),
      }),
  });
  const call = (method: string, json: string) =>
    runCommand([
      ...["call", machine.address, "--insecure", "--direct"],
      ...[`viam_dial.test.v1.NumbersService/${method}`, json, "--json"],
    ]);
  const kept = await call("Echo", `{"int64": ${BIG}, "byName": {"a": 18446744073709551615}}`);
  assert.deepEqual([kept.code, kept.stderr], [0, ""]);
  assert.deepEqual(JSON.parse(kept.stdout), { int64: BIG, byName: { a: "18446744073709551615" } });
  const rounded = await call("Echo", `{"struct": {"a": ${BIG}}}`);
  assert.deepEqual([rounded.code, rounded.stdout], [2, ""]);
  assert.match(
    JSON.parse(rounded.stderr).error.message,
    new RegExp(`a double would round ${BIG}`),
  );
  const strange = await call("Strange", "{}");
  assert.deepEqual([strange.code, strange.stderr], [0, ""]);
  assert.deepEqual(JSON.parse(strange.stdout), {
    double: "NaN",
    struct: { celsius: "NaN", limit: "Infinity" },
    value: "-Infinity",
    any: { "@type": "x/no.Such", "@value": "AQI=" },
  });
}, { timeoutMs: 120_000 });
