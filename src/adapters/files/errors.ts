/**
 * What the file system's own codes mean. Source: `errno(3)`.
 *
 * @module
 */
import type { ErrorCode, ErrorScope } from "../../core/errors.ts";
import { isMillraceError, MillraceError } from "../../core/errors.ts";

const codes: ReadonlyMap<string, ErrorCode> = new Map([
  ["ENOENT", "not_found"],
  ["ENOTDIR", "not_found"],
  ["EISDIR", "not_found"], // there is no blob of that name, only a directory
  ["ENXIO", "not_found"], // a socket or a device without a driver
  ["EEXIST", "conflict"],
  ["ELOOP", "refused"],
  ["EACCES", "unauthorized"],
  ["EPERM", "unauthorized"],
  ["EROFS", "unauthorized"],
  ["ENAMETOOLONG", "invalid_input"],
  ["EINVAL", "invalid_input"],
  ["EFBIG", "too_large"],
  ["ENOSPC", "unavailable"],
  ["EDQUOT", "unavailable"],
  ["EMFILE", "unavailable"],
  ["ENFILE", "unavailable"],
  ["EIO", "unavailable"],
  ["ESTALE", "unavailable"],
]);

/**
 * An error of the file system as one of ours; ours, and everything that has no such code, passes as it is. The message names
 * the path below the root, never the root.
 */
export function failed(who: string, path: string, error: unknown, scope?: ErrorScope): unknown {
  if (isMillraceError(error) || !(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return error;
  const code = codes.get(error.code);
  if (code === undefined) return error;
  const cause = new Error(`${error.code}${"syscall" in error ? ` in ${String(error.syscall)}` : ""}`);
  return new MillraceError(code, `${who}: "${path}": ${error.code}`, { service: "files", cause, ...(scope === undefined ? {} : { scope }) });
}

/** Is it an error of the file system with this code? */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
