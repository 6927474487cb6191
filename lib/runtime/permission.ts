/** What Deno can be asked for. */
export type PermissionRequest =
  | { readonly name: "net"; readonly host: string }
  | { readonly name: "read"; readonly path: URL }
  | { readonly name: "sys"; readonly kind: "networkInterfaces" };

interface DenoPermissions {
  readonly permissions?: { querySync(descriptor: PermissionRequest): { readonly state: string } };
}

/**
 * Whether something is permitted, without asking the user for it. Only Deno forbids; what it would prompt for is
 * not permitted.
 */
export function isPermitted(request: PermissionRequest): boolean {
  const { Deno: deno } = globalThis as unknown as { Deno?: DenoPermissions };
  return deno?.permissions === undefined || deno.permissions.querySync(request).state === "granted";
}
