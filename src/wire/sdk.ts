/**
 * The client of a service: a ready one, or one that is made of the service's own package at first use.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import { heard } from "./heard.ts";

/** How a client comes to be. */
export interface ClientSource<C> {
  /** Name of the adapter, for messages. */
  readonly service: string;
  /** The package, with the range that is known to work: `openai@^7`. */
  readonly install: string;
  /** Made by the caller, and closed by the caller. */
  readonly client?: C | undefined;
  /** Imports the package and makes a client. Asked once; again after it failed. */
  open(): Promise<C>;
  /** Closes a client that `open` made. */
  close?(client: C): Promise<void> | void;
}

/** A client that is there when it is needed. */
export interface LazyClient<C> {
  /** Throws: the signal's reason, before the package is loaded and after; `missing_config` without the package. */
  get(signal?: AbortSignal): Promise<C>;
  /** Closes what was opened here, once; a passed client stays open. */
  close(): Promise<void>;
}

/** Keeps one client an adapter. */
export function lazyClient<C>(source: ClientSource<C>): LazyClient<C> {
  const { service, install, client, open, close } = source;
  let opening: Promise<C> | undefined;
  let closing: Promise<void> | undefined;
  return {
    async get(signal) {
      signal?.throwIfAborted();
      if (client !== undefined) return client;
      opening ??= open().catch((error: unknown) => {
        opening = undefined; // so that a later call may try again
        throw missingPackage(service, install, error);
      });
      return heard(opening, signal);
    },
    close() {
      const opened = opening;
      opening = undefined;
      closing ??= opened === undefined || close === undefined ? Promise.resolve() : opened.then(close, () => {});
      return closing;
    },
  };
}

/** The code that Node, Bun and Deno share for a package that is not there. */
function missingPackage(service: string, install: string, error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") return error;
  return new MillraceError("missing_config", `${service}: needs a package that is not installed: npm install ${install}`, { service, cause: error });
}
