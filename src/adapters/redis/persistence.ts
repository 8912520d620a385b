/**
 * What the server says of its disk.
 *
 * Source: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/, https://redis.io/docs/latest/commands/info/
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { textOf } from "../../wire/error-fields.ts";
import { service } from "./client.ts";
import type { Link } from "./link.ts";

/** When what is in the log is on the disk: before it is confirmed, within a second, or when the system likes. */
const policies = ["always", "everysec", "no"] as const;

/** What a confirmation is worth when the server crashes. */
export interface RedisPersistence {
  /** Every write goes into a log (`appendonly`). Without it all is lost since the last snapshot, if there are snapshots. */
  readonly appendOnly: boolean;
  /** `appendfsync`: when that log is on the disk; of a server that has one and says so. */
  readonly fsync?: (typeof policies)[number];
}

/** Asks the server; undefined where it does not let itself be asked. */
export async function persistenceOf(link: Link, signal: AbortSignal | undefined): Promise<RedisPersistence | undefined> {
  const ask = async (...args: readonly string[]): Promise<unknown> => {
    try {
      return await link.call("persistence", args, { signal });
    } catch (error) {
      if (isForbidden(error)) return undefined;
      throw error;
    }
  };
  const info = await ask("INFO", "persistence");
  if (info === undefined) return undefined;
  const enabled = /^aof_enabled:([01])\r?$/m.exec(wordIn(info))?.[1];
  if (enabled === undefined) throw new MillraceError("bad_response", `${service}: the server does not say whether it keeps a log`, { service });
  if (enabled === "0") return { appendOnly: false };
  const asked = await ask("CONFIG", "GET", "appendfsync");
  const said = Array.isArray(asked) && asked.length === 2 ? wordIn(asked[1]) : "";
  const fsync = policies.find((policy) => policy === said);
  return { appendOnly: true, ...(fsync === undefined ? {} : { fsync }) };
}

/** By an access list, or since the command goes by another name: hosted servers hide some. */
function isForbidden(error: unknown): boolean {
  return error instanceof MillraceError && /^(?:NOPERM|ERR unknown (?:sub)?command)\b/i.test(textOf(error.cause, "message") ?? "");
}

function wordIn(value: unknown): string {
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : "";
}
