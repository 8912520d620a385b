/**
 * Which file it was, and what the file system's own codes mean (`errno(3)`).
 *
 * @module
 */
import { type ErrorCode, isMillraceError, MillraceError } from "../../core/errors.ts";

/** Tells a file from the one that another process put in its place. */
export type Stamp = string;

/** The stamp of a file. */
export function stampOf({ ino, size, mtimeNs }: { readonly ino: bigint; readonly size: bigint; readonly mtimeNs: bigint }): Stamp {
  return `${ino} ${size} ${mtimeNs}`;
}

const codes: ReadonlyMap<string, ErrorCode> = new Map([
  ["ENOENT", "not_found"], // the directory: a file that is not there is an empty store
  ["ENOTDIR", "not_found"],
  ["EISDIR", "conflict"],
  ["ELOOP", "refused"],
  ["EACCES", "unauthorized"],
  ["EPERM", "unauthorized"],
  ["EROFS", "unauthorized"],
  ["ENAMETOOLONG", "invalid_input"],
  ["EFBIG", "too_large"],
  ["ENOSPC", "unavailable"],
  ["EDQUOT", "unavailable"],
  ["EMFILE", "unavailable"],
  ["ENFILE", "unavailable"],
  ["EIO", "unavailable"],
]);

/** An error of the file system as one of ours, without the directory; ours, and what has no such code, as it is. */
export function fileFault(who: string, error: unknown): unknown {
  if (isMillraceError(error) || !(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return error;
  const code = codes.get(error.code);
  if (code === undefined) return error;
  const cause = new Error(`${error.code}${"syscall" in error ? ` in ${String(error.syscall)}` : ""}`);
  return new MillraceError(code, `${who}: ${error.code}`, { service: "faiss", scope: "dependency", cause });
}
