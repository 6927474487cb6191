/**
 * Makes a TLS ClientHello (RFC 8446 §4.1.2) that any TLS server answers with a handshake or an alert; nothing more is
 * needed.
 *
 * @param serverName The name to send, unless it is an IP address.
 * @param random 32 bytes.
 */
export function clientHello(serverName: string, random: Uint8Array): Uint8Array<ArrayBuffer> {
  const named = /^[0-9.]+$/.test(serverName) || serverName.includes(":") ? "" : serverName;
  const extensions = [
    ...(named === ""
      ? []
      : extension(0, lengthed(2, [0, ...lengthed(2, [...new TextEncoder().encode(named)])]))),
    ...extension(10, lengthed(2, [0x00, 0x1d, 0x00, 0x17])), // x25519, secp256r1
    ...extension(11, lengthed(1, [0])),
    ...extension(13, lengthed(2, [4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1])),
    ...extension(16, lengthed(2, [...alpn("h2"), ...alpn("http/1.1")])),
    ...extension(43, lengthed(1, [3, 4, 3, 3])),
    ...extension(51, lengthed(2, [0x00, 0x1d, ...lengthed(2, [...random.subarray(0, 32)])])),
  ];
  const ciphers = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8];
  const hello = [
    3,
    3,
    ...random.subarray(0, 32),
    0, // no session
    ...lengthed(2, ciphers.flatMap((cipher) => [cipher >> 8, cipher & 0xff])),
    ...lengthed(1, [0]), // no compression
    ...lengthed(2, extensions),
  ];
  return Uint8Array.from([0x16, 3, 1, ...lengthed(2, [1, ...lengthed(3, hello)])]);
}

/** Interprets the first byte of the answer to a ClientHello: a handshake or an alert is TLS, anything else is not. */
export function readGreeting(firstByte: number): "tls" | "plaintext" {
  return firstByte === 0x16 || firstByte === 0x15 ? "tls" : "plaintext";
}

function lengthed(bytes: number, content: readonly number[]): number[] {
  const length = [];
  for (let shift = (bytes - 1) * 8; shift >= 0; shift -= 8) length.push((content.length >> shift) & 0xff);
  return [...length, ...content];
}

function extension(type: number, content: readonly number[]): number[] {
  return [type >> 8, type & 0xff, ...lengthed(2, content)];
}

function alpn(protocol: string): number[] {
  return lengthed(1, [...new TextEncoder().encode(protocol)]);
}
