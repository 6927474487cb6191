/**
 * Whether Python's `uuid.UUID` reads the text: 32 hexadecimal digits once `urn:`, `uuid:`, braces and hyphens are
 * taken away, wherever those stand.
 */
export function isUuid(text: string): boolean {
  const digits = text.replaceAll("urn:", "").replaceAll("uuid:", "").replace(/^[{}]+|[{}]+$/g, "")
    .replaceAll("-", "");
  return /^[0-9a-f]{32}$/i.test(digits);
}
