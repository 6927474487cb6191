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
lane. It needs \`go\`, which installs the suite to \`.cache\`; the code of its messages is generated there, too.

## Lanes

| lane | under test | against |
| --- | --- | --- |
| fetch | gRPC-Web by requests, and over HTTP/2 by \`node:http2\`, in plaintext and over TLS, with client certificates | the suite's two reference servers, connect-go and grpc-go |
| http2 | the transport over \`node:http2\`, in plaintext and over TLS, with client certificates | the same |
| webrtc | \`dial\`, signaling in plaintext and over TLS, with client certificates, and the transport over a data channel | the embedded machine, which is under test as well |
| machine | the embedded machine, in plaintext and over TLS, with client certificates | the suite's two reference clients |

Each lane runs every case that its features allow: calls of each kind, bidirectional ones in half and full duplex,
deadlines of the client and the server, cancellation at every moment, repeated and binary metadata, errors with details,
trailers, empty messages, unexpected answers and requests, limits of message sizes, gzip. The features are in \`lanes\`.
The webrtc lane runs the suites that test both sides at once, and of those for one side the ones that need no HTTP:
client cancellation, empty messages, message sizes.

## Features that are off, and why

- Connect's own protocol and JSON: machines speak gRPC and gRPC-Web, in protobuf.
- Bidirectional calls over HTTP/1.1, where they hang: a call that needs HTTP/2 is never made without it.
- gzip on a data channel: its frames have no place for it.
- A limit on the messages that a client accepts: the suite has no case for it. \`tests/transport/suite.ts\` has one, on every
  carrier.

## Known failures

${
    run.results.every(({ knownFailing }) => knownFailing === 0)
      ? "None."
      : "`known_failing` lists them, each with its reason and a link to the fault."
  }
`;
}
