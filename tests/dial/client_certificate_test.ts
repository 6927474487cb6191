import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { keyPairProblem } from "../../lib/direct/key_pair.ts";
import { startMachine } from "../../lib/testing/mod.ts";
import { dial, DialOptionsError } from "../../mod.ts";
import { makeCertificates } from "../certificates.ts";
import { runtime, test } from "../harness.ts";

const NOT_PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

test("dial() names a client certificate and key that cannot be used, before anything is sent", async () => {
  const certificates = await makeCertificates();
  const openssl = async (...args: string[]) =>
    (await promisify(execFile)("openssl", args, { cwd: certificates.folder })).stdout;
  try {
    const { cert, key } = await certificates.issue({ client: true });
    const other = await certificates.issue({ client: true });
    await writeFile(join(certificates.folder, "client_key.pem"), key);
    const encrypted = await openssl("pkcs8", "-topk8", "-in", "client_key.pem", "-passout", "pass:word");
    const traditional = await openssl("ec", "-in", "client_key.pem", "-aes128", "-passout", "pass:word");
    await using machine = await startMachine({
      auth: "none",
      tls: { ...certificates, requestCertificate: true },
    });
    const attempt = async (tls: { readonly cert: string; readonly key: string }) =>
      await (await dial(machine.address, { disableWebrtc: true, tls: { ca: certificates.ca, ...tls } }))
        .close();
    await attempt({ cert, key });
    const calls = machine.calls;
    const wrong: readonly (readonly [tls: Parameters<typeof attempt>[0], option: string, text: RegExp])[] = [
      [{ cert, key: encrypted }, "tls.key", /must not be encrypted/],
      [{ cert, key: traditional }, "tls.key", /must not be encrypted/],
      [{ cert, key: other.key }, "tls.key", /must be the private key of the certificate/],
      [{ cert, key: cert }, "tls.key", /must be a private key in PEM/],
      [{ cert: NOT_PEM, key }, "tls.cert", /must be a certificate in PEM/],
      [{ cert: key, key }, "tls.cert", /must be a certificate in PEM/],
    ];
    for (const [tls, option, text] of wrong) {
      await assert.rejects(attempt(tls), (error: unknown) => {
        assert.ok(error instanceof DialOptionsError, String(error));
        assert.deepEqual(error.problems.map((problem) => problem.option), [option]);
        assert.match(error.message, text);
        assert.ok(!error.message.includes("PRIVATE KEY") && !error.message.includes(key.split("\n")[1]!));
        return true;
      });
    }
    assert.deepEqual(machine.calls, calls);
  } finally {
    await certificates.remove();
  }
}, { timeoutMs: 60_000 });

test(
  "dial() with a client certificate of version 1 works on Bun and Node, and is refused on Deno",
  async () => {
    const certificates = await makeCertificates();
    const openssl = async (...args: string[]) =>
      (await promisify(execFile)("openssl", args, { cwd: certificates.folder })).stdout;
    try {
      const { key } = await certificates.issue({ client: true });
      await writeFile(join(certificates.folder, "old_key.pem"), key);
      await openssl("req", "-new", "-key", "old_key.pem", "-subj", "/CN=old", "-out", "old.csr");
      const signing = ["-CA", "ca.pem", "-CAkey", "ca_key.pem", "-CAcreateserial", "-days", "2"];
      const cert = await openssl("x509", "-req", "-in", "old.csr", ...signing);
      assert.deepEqual(keyPairProblem(cert, key, "node"), undefined);
      assert.equal(keyPairProblem(cert, key, "deno")?.member, "cert");
      await using machine = await startMachine({
        auth: "none",
        tls: { ...certificates, requestCertificate: true },
      });
      const dialing = dial(machine.address, { disableWebrtc: true, tls: { ca: certificates.ca, cert, key } });
      if (runtime === "deno") {
        await assert.rejects(
          dialing,
          /certificate of version 3: Deno refuses version 1/,
        );
      } else await (await dialing).close();
    } finally {
      await certificates.remove();
    }
  },
  { timeoutMs: 60_000 },
);
