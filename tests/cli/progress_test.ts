import assert from "node:assert/strict";
import { inCommandWords } from "../../lib/cli/command_words.ts";
import { showProgress } from "../../lib/cli/progress.ts";
import type { Terminal } from "../../lib/cli/terminal.ts";
import { test } from "../harness.ts";

/** A terminal that hands over what is written to it, and what it is asked for. */
function terminal(errorIsTerminal: boolean, warn: (text: string) => void): Terminal {
  return {
    write: () => Promise.resolve(),
    warn,
    input: (async function* () {})(),
    inputIsTerminal: false,
    errorIsTerminal,
    variable: () => undefined,
    signal: new AbortController().signal,
  };
}

test("showProgress() writes a line for a long step, updates it, and removes it", async () => {
  const written: string[] = [];
  const twice = Promise.withResolvers<void>();
  const began = performance.now();
  const progress = showProgress(
    terminal(true, (text) => {
      written.push(text);
      if (text.includes("second")) twice.resolve();
    }),
    "first",
  );
  while (written.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(performance.now() - began >= 290, "patient at first");
  assert.match(written[0]!, /first … 0\.\d s$/);
  progress.now("second");
  await twice.promise;
  progress.end();
  assert.equal(written.at(-1), "\r\x1b[2K");
  const count = written.length;
  progress.end();
  assert.equal(written.length, count);
}, { pure: true });

test("showProgress() writes nothing for a short step, or without a terminal", async () => {
  const quick = showProgress(terminal(true, () => assert.fail("written")), "it");
  quick.now("still");
  quick.end();
  const unread = showProgress(terminal(false, () => assert.fail("written")), "it");
  await new Promise((resolve) => setTimeout(resolve, 400));
  unread.end();
}, { pure: true });

test("inCommandWords() names the options of the command line", () => {
  const table: readonly (readonly [message: string, said: string])[] = [
    ["if the network is slow, raise timeoutMs", "if the network is slow, raise --timeout"],
    [
      "If that is right, set insecure or allowInsecureDowngrade",
      "If that is right, set --insecure or --allow-insecure-downgrade",
    ],
    ["or dial directly with disableWebrtc", "or dial directly with --direct"],
    ["webrtc.forceRelay needs a TURN server", "--force-relay needs a TURN server"],
    [
      "Pass the authority that has signed the certificate as tls.ca, or the name that it is for as tls.serverName",
      "Pass the authority that has signed the certificate as --ca, or the name that it is for as --server-name",
    ],
    [
      "Pass some, such as DialOptions.withApiKey(key, id)",
      "Pass some, by VIAM_API_KEY and VIAM_API_KEY_ID",
    ],
    ["tls has no effect, since insecure disables TLS", "tls has no effect, since --insecure disables TLS"],
    ["the address 127.0.0.1:80 is insecure", "the address 127.0.0.1:80 is insecure"],
  ];
  for (const [message, said] of table) assert.equal(inCommandWords(message), said);
}, { pure: true });
