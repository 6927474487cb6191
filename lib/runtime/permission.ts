/** A permission of Deno. */
export type PermissionRequest =
  | { readonly name: "net"; readonly host?: string }
  | { readonly name: "read" | "write"; readonly path?: URL | string }
  | { readonly name: "env"; readonly variable: string }
  | { readonly name: "ffi" }
  | { readonly name: "sys"; readonly kind: "networkInterfaces" };

interface DenoPermissions {
  readonly permissions?: { querySync(descriptor: PermissionRequest): { readonly state: string } };
}

/**
 * Tells whether a permission is granted, without prompting the user. Only Deno denies any; what it would prompt for
 * counts as denied.
 */
export function isPermitted(request: PermissionRequest): boolean {
  const { Deno: deno } = globalThis as unknown as { Deno?: DenoPermissions };
  return deno?.permissions === undefined || deno.permissions.querySync(request).state === "granted";
}
