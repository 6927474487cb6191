/** This package's version; a test compares it with deno.json. */
export const VERSION = "0.1.0";

/** The version of the Viam API from which the messages here are taken (protocol §0). */
export const API_VERSION = "0.1.577";

/** The header that identifies this client to a machine, with its underscore (protocol §6.3). */
export const CLIENT_HEADER = ["viam_client", `typescript;v${VERSION};v${API_VERSION}`] as const;
