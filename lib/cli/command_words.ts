/*
 * Errors name the options of the module. Users of the command line know them by other names.
 */

const WORDS: readonly (readonly [text: RegExp, word: string])[] = [
  [/\bsuch as DialOptions\.withApiKey\(key, id\)/, "by VIAM_API_KEY and VIAM_API_KEY_ID"],
  [/\ballowInsecureWithCredsDowngrade\b/g, "--allow-insecure-with-creds-downgrade"],
  [/\ballowInsecureDowngrade\b/g, "--allow-insecure-downgrade"],
  [/\bdisableWebrtc\b/g, "--direct"],
  [/\btimeoutMs\b/g, "--timeout"],
  [/\bauthEntity\b/g, "--entity"],
  [/\bwebrtc\.signalingAddress\b/g, "--signaling"],
  [/\bwebrtc\.signalingInsecure\b/g, "--signaling-insecure"],
  [/\bwebrtc\.forceRelay\b/g, "--force-relay"],
  [/\bwebrtc\.forceP2P\b/g, "--force-p2p"],
  [/\btls\.serverName\b/g, "--server-name"],
  [/\btls\.ca\b/g, "--ca"],
  [/\btls\.cert\b/g, "--client-cert"],
  [/\btls\.key\b/g, "--client-key"],
  [/(\b(?:set|since) )insecure\b/g, "$1--insecure"],
];

/** Translates an error's message to the options of the command line. */
export function inCommandWords(message: string): string {
  return WORDS.reduce((text, [pattern, word]) => text.replace(pattern, word), message);
}
