/** The report of a run of the conformance suite. */

/** The result of a lane on one runtime. */
export interface LaneResult {
  readonly lane: string;
  readonly protocol: string;
  readonly runtime: string;
  readonly cases: number;
  readonly passed: number;
  readonly failed: number;
  readonly knownFailing: number;
}

/** A run. */
export interface ConformanceRun {
  readonly version: string;
  readonly deno: string;
  readonly bun: string;
  readonly results: readonly LaneResult[];
}

const SUITE = "https://github.com/connectrpc/conformance";

/** The table with its caption. */
export function conformanceTable({ version, deno, bun, results }: ConformanceRun): string {
  const rows = results.map(({ lane, protocol, runtime, cases, passed, knownFailing }) =>
    `| ${lane} | ${protocol} | ${runtime} | ${cases} | ${passed} | ${knownFailing} |`
  );
  return `The [Connect conformance suite](${SUITE}) ${version}, on Deno ${deno} and Bun ${bun}:

| lane | protocol | runtime | cases | passed | known to fail |
| --- | --- | --- | ---: | ---: | ---: |
${rows.join("\n")}
`;
}

/** The report as a whole document. */
export function conformanceReport(run: ConformanceRun): string {
  return `# Conformance

${conformanceTable(run)}
\`deno task conformance\` runs every lane on both runtimes and writes this file; \`deno task conformance fetch\` runs one
lane. It needs \`go\`, which installs the suite to \`.cache\`, where the code of its messages is generated as well.

## Lanes

| lane | under test | against |
| --- | --- | --- |
| fetch | the transport over \`fetch\`, in the clear and over TLS, with client certificates | the suite's two reference servers, connect-go and grpc-go |
| http2 | the transport over \`node:http2\`, in the clear and over TLS, with client certificates | the same |
| webrtc | \`dial\`, signaling in the clear and over TLS, with client certificates, and the transport over a data channel | the embedded machine, which is under test as well |
| machine | the embedded machine, in the clear and over TLS, with client certificates | the suite's two reference clients |

Every case that a lane's features allow is on: calls of each kind, bidirectional ones in half and in full duplex, the
client's and the server's deadlines, cancellation at every moment, repeated and binary metadata, errors with details,
trailers, empty messages, unexpected answers and requests, limits of message sizes, gzip. The features are in \`lanes\`.
To the suites for both sides at once the webrtc lane adds those for one side that need no HTTP: client cancellation,
empty messages, message sizes.

## What is not on, and why

- Connect's own protocol and JSON: machines speak gRPC and gRPC-Web, in protobuf.
- Bidirectional calls over HTTP/1.1, where they hang: a call that needs HTTP/2 is never made without.
- HTTP/2 in the clear over Bun's \`fetch\`, which has it over TLS only. There \`node:http2\` is used.
- gzip on a data channel: its frames have no place for it.
- A limit on what a client takes in: the suite has no case of it. \`tests/transport/suite.ts\` has, for every lane.

## Cases that are known to fail

${
    run.results.every(({ knownFailing }) => knownFailing === 0)
      ? "None."
      : "They are listed in `known_failing`, each with the reason and a link to the fault."
  }
`;
}
