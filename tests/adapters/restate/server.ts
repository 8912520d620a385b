/**
 * The engine seen from the other side, for the tests of durable runs.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import type { RestateOptions } from "../../../src/adapters/restate/index.ts";

/** Where the engine is. */
export interface Addresses {
  readonly baseUrl: string;
  readonly adminUrl: string;
}

/** The admin API is where the environment says, else on the port after the ingress. */
export function addressesOf(url: string): Addresses {
  const admin = new URL(url);
  admin.port = String(Number(admin.port) + 1);
  return { baseUrl: url.replace(/\/$/, ""), adminUrl: process.env.RESTATE_ADMIN_URL ?? admin.origin };
}

/** Options of a pipeline of the caller's own. */
export function own({ baseUrl, adminUrl }: Addresses): Pick<RestateOptions, "name" | "baseUrl" | "adminUrl"> {
  return { name: `t_${randomUUID().replaceAll("-", "")}`, baseUrl, adminUrl };
}

/** Asks the engine's tables. */
export async function query(adminUrl: string, sql: string): Promise<Record<string, unknown>[]> {
  const response = await fetch(`${adminUrl}/query`, { method: "POST", headers: { "content-type": "application/json", accept: "application/json" }, body: JSON.stringify({ query: sql }) });
  const { rows } = JSON.parse(await response.text());
  return rows;
}

/** Calls of a pipeline that are not over. */
export async function open(adminUrl: string, name: string): Promise<number> {
  return (await query(adminUrl, `select id from sys_invocation where target_service_name = '${name}' and status <> 'completed' and target_handler_name = 'batch'`)).length;
}

/** Waits until it holds. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}
