import assert from "node:assert/strict";
import { commentExamples, type Documentation, undocumented } from "../../tools/documented_symbols.ts";
import { exampleProgram, markdownExamples, testsFor } from "../../tools/examples.ts";
import { test } from "../harness.ts";

const EXAMPLE = { kind: "example", doc: "```ts\nuse();\n```" };
const location = { filename: "file:///project/lib/a.ts" };

function documentationOf(
  kind: string,
  jsDoc: object | undefined,
  filename = location.filename,
): Documentation {
  const declaration = { kind, location: { filename }, ...(jsDoc === undefined ? {} : { jsDoc }) };
  return {
    nodes: {
      "file:///project/mod.ts": {
        module_doc: { doc: "A module.", tags: [EXAMPLE] },
        symbols: [{ name: "it", declarations: [declaration] }],
      },
    },
  };
}

test(
  "undocumented() lists names without a summary, and usable names without an example or a source",
  () => {
    const noSource = 'it does not name the source of its rule ("Source: ...")';
    const doc = "Says what.\n\nSource: RFC 9113.";
    const cases: [kind: string, jsDoc: object | undefined, expected: readonly string[]][] = [
      ["function", undefined, ["it has no summary", "it has no example", noSource]],
      ["class", { doc }, ["it has no example"]],
      ["variable", { doc: " \n", tags: [EXAMPLE] }, ["it has no summary", noSource]],
      ["function", { doc, tags: [{ kind: "example", doc: "no code" }] }, ["it has no example"]],
      ["function", { doc, tags: [EXAMPLE] }, []],
      ["function", { doc: "Says what.", tags: [EXAMPLE] }, [noSource]],
      ["function", { doc: "Source: RFC 9113.", tags: [EXAMPLE] }, ["it has no summary"]],
      ["class", { doc: "Says what.\n\nSource: ", tags: [EXAMPLE] }, [noSource]],
      ["interface", { doc: "Says what." }, []],
      ["typeAlias", {}, ["it has no summary"]],
      ["reference", undefined, []],
    ];
    for (const [kind, jsDoc, expected] of cases) {
      assert.deepEqual(
        undocumented(documentationOf(kind, jsDoc)),
        expected.map((text) => `mod.ts: ${text}`),
        `${kind} with ${JSON.stringify(jsDoc)}`,
      );
    }
  },
  { pure: true },
);

test("undocumented() requires a summary of generated services, and no example", () => {
  const filename = "file:///project/proto/gen/a_pb.ts";
  assert.deepEqual(undocumented(documentationOf("variable", { doc: "A service." }, filename)), []);
  assert.deepEqual(undocumented(documentationOf("variable", {}, filename)), ["mod.ts: it has no summary"]);
}, { pure: true });

test("undocumented() requires a summary and an example of every module", () => {
  assert.deepEqual(undocumented({ nodes: { "file:///project/lib/cli/mod.ts": {} } }), [
    "lib/cli/mod.ts: the module has no summary",
    "lib/cli/mod.ts: the module has no example",
  ]);
}, { pure: true });

test("commentExamples() finds the examples of modules, of names and of members, each once", () => {
  const jsDoc = { doc: "Says what.", tags: [{ kind: "example", doc: "```ts\nmember();\n```" }] };
  const documentation = documentationOf("class", { doc: "Says what.", tags: [EXAMPLE] });
  const [node] = Object.values(documentation.nodes);
  const [declaration] = node!.symbols![0]!.declarations;
  Object.assign(declaration!, { def: { methods: [{ name: "run", jsDoc }] } });
  assert.deepEqual(commentExamples(documentation).map(({ text }) => text).toSorted(), [
    "member();\n",
    "use();\n",
  ]);
}, { pure: true });

test("markdownExamples() finds every block of TypeScript, with its line, and no other", () => {
  const text = "# Title\n\n```ts\nfirst();\n```\n\n```sh\nls\n```\n\n```ts\nsecond();\nthird();\n```\n";
  assert.deepEqual(markdownExamples("a.md", text), [
    { place: "a.md:3", text: "first();\n" },
    { place: "a.md:11", text: "second();\nthird();\n" },
  ]);
}, { pure: true });

test("exampleProgram() inserts a machine's address, key and certificate into an example", () => {
  const given = { address: "127.0.0.1:1", apiKey: "k", apiKeyId: "i", ca: "/ca", generated: "/gen" };
  const text =
    'dial("my-robot-main.abcdef.viam.cloud", withApiKey("<API-KEY>", "<API-KEY-ID>"), "ca.pem", "./gen/a")';
  assert.equal(exampleProgram(text, given), 'dial("127.0.0.1:1", withApiKey("k", "i"), "/ca", "/gen/a")');
}, { pure: true });

test("testsFor() tells programs from tests", () => {
  assert.equal(testsFor('Deno.test("it holds", () => {});'), "Deno");
  assert.equal(testsFor('import { test } from "bun:test";'), "Bun");
  assert.equal(testsFor("await dial();"), undefined);
}, { pure: true });
