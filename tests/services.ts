/**
 * Real servers for tests: `await service("postgres")` at the top of a file, and `describe.skipIf` when there is none.
 *
 * `SERVICES=none` starts nothing. What `REQUIRE_SERVICES` names (`postgres,pgvector` or `all`) is an error when it is missing.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { Agent, get } from "node:http";
import pg from "pg";
import { inject } from "vitest";
import type { ServiceAnswer } from "./services/registry.ts";

/** Asks for a service; the first asker waits for its start. Throws when it is required and missing. */
export async function service(name: string): Promise<ServiceAnswer> {
  const address = inject("services");
  if (address === undefined) return { skip: "the suite was started without its global set-up" };
  const answer: ServiceAnswer | { readonly error: string } = JSON.parse(await body(`${address}/${name}`));
  if ("error" in answer) throw new Error(answer.error);
  return answer;
}

/** A title that says why it is skipped, if it is. */
export function titled(title: string, answer: ServiceAnswer): string {
  return answer.skip === undefined ? title : `${title} (skipped: ${answer.skip})`;
}

/** A database of the caller's own on a server. */
export interface OwnDatabase extends AsyncDisposable {
  readonly url: string;
  /** Runs a statement on a connection of its own: for looking at the server from the other side. */
  query(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
}

/** Creates an empty database, dropped when it is disposed of, whoever is still connected. */
export async function ownDatabase(serverUrl: string): Promise<OwnDatabase> {
  const name = `t_${randomUUID().replaceAll("-", "")}`;
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await once(serverUrl, `create database ${name} template template0`);
  return {
    url: url.href,
    query: (text, values) => once(url.href, text, values),
    async [Symbol.asyncDispose]() {
      await once(serverUrl, `drop database if exists ${name} with (force)`);
    },
  };
}

async function once(url: string, text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(text, [...values]);
    return rows;
  } finally {
    await client.end();
  }
}

/** On a connection that is gone afterwards: a kept one would look like a leak of the test. */
function body(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false });
    get(url, { agent }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve(text));
      response.on("error", reject);
    }).on("error", reject);
  });
}
