/**
 * True if Python's `uuid.UUID` accepts the text: 32 hexadecimal digits after `urn:`, `uuid:`, braces and hyphens are
 * removed, wherever they stand.
 */
export function isUuid(text: string): boolean {
  const digits = text.replaceAll("urn:", "").replaceAll("uuid:", "").replace(/^[{}]+|[{}]+$/g, "")
    .replaceAll("-", "");
  return /^[0-9a-f]{32}$/i.test(digits);
}
