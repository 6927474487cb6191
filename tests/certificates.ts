/** Certificates for tests: each test has its own authority, made by the `openssl` command in a temporary folder. */

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** Settings of a certificate. */
export interface CertificateOptions {
  /** The names and addresses in it; `localhost`, `127.0.0.1` and `::1` by default. */
  readonly names?: readonly string[];
  /** Its validity ended yesterday. */
  readonly expired?: boolean;
  /** For a TLS client rather than a server. */
  readonly client?: boolean;
}

/** A certificate with its private key, both PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority with a server certificate that it has signed. Remove it when done. */
export interface Certificates extends Certificate {
  /** The authority's certificate, PEM. */
  readonly ca: string;
  /** The folder of `ca.pem`, `cert.pem` and `key.pem`, until `remove`. */
  readonly folder: string;
  /** Signs another certificate with the same authority. */
  issue(options?: CertificateOptions): Promise<Certificate>;
  /** Deletes the folder. */
  remove(): Promise<void>;
}

const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "::1"];
const EC_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const DAY_MS = 86_400_000;

const CONFIGURATION = `
[req]
distinguished_name = subject
prompt = no
[subject]
commonName = viam-dial test authority
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[ca]
default_ca = signing
[signing]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
`;

/** Makes an authority, and a certificate of it with `options`. */
export async function makeCertificates(options: CertificateOptions = {}): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), "viam-dial-certificates-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await writeFile(join(folder, "openssl.cnf"), CONFIGURATION);
    await writeFile(join(folder, "index.txt"), "");
    await openssl(folder, [
      ...["req", "-x509", ...EC_KEY, "-config", "openssl.cnf", "-extensions", "authority"],
      ...["-days", "2", "-keyout", "ca_key.pem", "-out", "ca.pem"],
    ]);
    let issued = 0;
    let last: Promise<unknown> = Promise.resolve();
    // One at a time: the authority keeps its index in a file.
    const issue = (leaf: CertificateOptions = {}): Promise<Certificate> => {
      const name = `leaf_${++issued}`;
      const done = last.then(() => sign(folder, name, leaf));
      last = done.catch(() => {});
      return done;
    };
    const leaf = await issue(options);
    await writeFile(join(folder, "cert.pem"), leaf.cert);
    await writeFile(join(folder, "key.pem"), leaf.key);
    return { ca: await readFile(join(folder, "ca.pem"), "utf8"), ...leaf, folder, issue, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

const shared = new Map<string, Promise<Certificate & Pick<Certificates, "ca">>>();

/** A certificate and its authority, made once in this process: for tests that only need TLS. */
export function sharedCertificates(
  names: readonly string[] = LOOPBACK_NAMES,
): Promise<Certificate & Pick<Certificates, "ca">> {
  const id = names.join();
  const made = shared.get(id) ?? makeCertificates({ names }).then(async ({ ca, cert, key, remove }) => {
    await remove();
    return { ca, cert, key };
  });
  shared.set(id, made);
  return made;
}

async function sign(folder: string, name: string, options: CertificateOptions): Promise<Certificate> {
  const { names = LOOPBACK_NAMES, expired = false, client = false } = options;
  const alternatives = names.map((text) => `${/^[\d.]+$|:/.test(text) ? "IP" : "DNS"}:${text}`);
  const extensions = [
    "basicConstraints = critical, CA:FALSE",
    "keyUsage = critical, digitalSignature",
    `extendedKeyUsage = ${client ? "clientAuth" : "serverAuth"}`,
    "subjectKeyIdentifier = hash",
    "authorityKeyIdentifier = keyid",
    `subjectAltName = ${alternatives.join(", ")}`,
  ];
  const key = `${name}_key.pem`, request = `${name}.csr`, extension = `${name}.ext`, cert = `${name}.pem`;
  await writeFile(join(folder, extension), extensions.join("\n"));
  await openssl(folder, [
    ...["req", "-new", ...EC_KEY, "-config", "openssl.cnf", "-subj", `/CN=${names[0] ?? name}`],
    ...["-keyout", key, "-out", request],
  ]);
  const now = Date.now();
  await openssl(folder, [
    ...["ca", "-batch", "-config", "openssl.cnf", "-cert", "ca.pem", "-keyfile", "ca_key.pem", "-notext"],
    ...["-startdate", utcTime(now - 3 * DAY_MS), "-enddate", utcTime(now + (expired ? -1 : 2) * DAY_MS)],
    ...["-extfile", extension, "-in", request, "-out", cert],
  ]);
  return { cert: await readFile(join(folder, cert), "utf8"), key: await readFile(join(folder, key), "utf8") };
}

/** `YYMMDDHHMMSSZ`, the time format of a certificate (RFC 5280 §4.1.2.5.1). */
function utcTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+/, "").replace(/[-:T]/g, "").slice(2);
}

/** Makes a self-signed server certificate, as `openssl req -x509` does by default. */
export async function makeSelfSigned(names: readonly string[]): Promise<Certificate> {
  const folder = await mkdtemp(join(tmpdir(), "viam-dial-certificates-"));
  try {
    await openssl(folder, [
      ...["req", "-x509", ...EC_KEY, "-subj", `/CN=${names[0]}`, "-days", "2"],
      ...[
        "-addext",
        `subjectAltName=${names.map((name) => `${isIP(name) === 0 ? "DNS" : "IP"}:${name}`).join()}`,
      ],
      ...["-keyout", "key.pem", "-out", "cert.pem"],
    ]);
    const [cert, key] = await Promise.all(
      ["cert.pem", "key.pem"].map((file) => readFile(join(folder, file), "utf8")),
    );
    return { cert: cert!, key: key! };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function openssl(folder: string, args: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)("openssl", args, { cwd: folder });
  } catch (cause) {
    throw new Error(`Cannot make test certificates: openssl ${args[0]} failed`, { cause });
  }
}
