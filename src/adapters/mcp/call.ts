/**
 * One call of a server's tool: its progress while it runs, then what it gave.
 *
 * @module
 */
import { status } from "../../core/constructors.ts";
import type { JsonValue, Part } from "../../core/part.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { countOf, wordsOf } from "../../wire/json-shape.ts";
import { type Connection, leaving, maxTimerMs } from "./connection.ts";
import { partsOfResult } from "./content.ts";
import { requestError } from "./errors.ts";
import type { ListedTool } from "./listing.ts";
import { plain } from "./plain.ts";

/** Characters of a status part. */
const maxStatusChars = 300;

/** What ends a call. */
export interface CallOptions {
  readonly signal: AbortSignal;
  /** Why the connection was ended by its owner, if it was. */
  ended(): unknown;
}

/**
 * Calls it. Progress comes as status parts, the newest where it comes faster than it is read. Leaving and abort cancel the request.
 *
 * Throws: `tool_failed` with the tool's own words; `unavailable` for a server that is gone; `closed`; the signal's reason.
 */
export async function* calledTool(connection: Connection, tool: ListedTool, args: JsonValue, { signal, ended }: CallOptions): AsyncGenerator<Part, void, undefined> {
  signal.throwIfAborted();
  const request = leaving(signal);
  let news = Promise.withResolvers<void>();
  let progress: unknown;
  let outcome: { readonly result: unknown } | { readonly error: unknown } | undefined;
  const settle = (how: typeof outcome): void => {
    outcome = how;
    news.resolve();
  };
  try {
    connection.client
      .callTool(
        { name: tool.remote, arguments: args as Record<string, unknown> }, // an object, as whoever checked the arguments has seen
        {
          signal: request.signal,
          timeout: maxTimerMs,
          onprogress(told) {
            progress = told;
            news.resolve();
          },
        },
      )
      .then((result) => settle({ result }), (error: unknown) => settle({ error }));
    while (outcome === undefined) {
      await news.promise;
      news = Promise.withResolvers();
      const told = statusOf(progress);
      progress = undefined;
      if (told !== undefined) yield status(told, { role: "tool", metadata: { mcp: { tool: tool.name } } });
    }
    if (signal.aborted) throw signal.reason;
    if ("error" in outcome) throw ended() ?? (connection.isLost ? connection.failure() : undefined) ?? requestError(outcome.error, connection, true);
    yield* partsOfResult(outcome.result, connection);
  } finally {
    request.end();
  }
}

/** What progress says, in words or numbers. */
function statusOf(told: unknown): string | undefined {
  const said = plain(wordsOf(fieldOf(told, "message")) ?? "", maxStatusChars);
  if (said !== "") return said;
  const done = countOf(fieldOf(told, "progress"));
  const total = countOf(fieldOf(told, "total"));
  if (done === undefined) return undefined;
  return total === undefined ? String(done) : `${done}/${total}`;
}
