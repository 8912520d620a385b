/**
 * Vitest's global set-up: the services of one run of the suite.
 *
 * A promise cannot be handed to a worker, an address can: workers ask it, and the first that asks starts the server.
 *
 * @module
 */
import { createServer } from "node:http";
import type { TestProject } from "vitest/node";
import { openHost } from "./host.ts";
import { openServices } from "./registry.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where workers ask for services. */
    services: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const services = openServices(openHost);
  const server = createServer((request, response) => {
    const name = (request.url ?? "").slice(1);
    services.service(name).then(
      (answer) => response.end(JSON.stringify(answer)),
      (error: unknown) => response.end(JSON.stringify({ error: error instanceof Error ? error.message : String(error) })),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  project.provide("services", typeof address === "object" && address !== null ? `http://127.0.0.1:${address.port}` : "");
  return async () => {
    server.closeAllConnections();
    server.close();
    for (const line of await services.report()) console.log(`services: ${line}`);
    await services.close();
  };
}
