/** The server over HTTP on loopback, with sessions, and what was asked of it. */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server";
import { type Seen, toolServer } from "./tools.ts";

/** A request, as far as tests look at it. */
export interface Asked {
  readonly method: string;
  /** Method of JSON-RPC. */
  readonly rpc: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface McpHttpServer {
  readonly url: string;
  readonly asked: readonly Asked[];
  /** Sessions that are open. */
  readonly sessions: ReadonlyMap<string, unknown>;
  readonly sockets: ReadonlySet<Socket>;
  /** Breaks every connection. */
  cut(): void;
  close(): Promise<void>;
}

export async function mcpHttpServer({ seen, json = false }: { readonly seen?: Seen; readonly json?: boolean } = {}): Promise<McpHttpServer> {
  const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();
  const sockets = new Set<Socket>();
  const asked: Asked[] = [];
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Uint8Array);
    const body = Buffer.concat(chunks).toString();
    const { method = "GET", headers } = incoming;
    asked.push({ method, headers, rpc: body === "" ? "" : String((JSON.parse(body) as { method?: unknown }).method) });
    const session = headers["mcp-session-id"];
    let transport = typeof session === "string" ? sessions.get(session) : undefined;
    if (transport === undefined) {
      transport = new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        enableJsonResponse: json,
        onsessioninitialized: (id) => void sessions.set(id, transport as WebStandardStreamableHTTPServerTransport),
        onsessionclosed: (id) => void sessions.delete(id),
      });
      await toolServer(seen).connect(transport);
    }
    const request = new Request(`http://127.0.0.1${incoming.url}`, { method, headers: headers as Record<string, string>, ...(body === "" ? {} : { body }) });
    const response = await transport.handleRequest(request);
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    if (response.body !== null) for await (const chunk of response.body) outgoing.write(chunk);
    outgoing.end();
  };
  const server = createServer((incoming, outgoing) => void answer(incoming, outgoing).catch(() => outgoing.destroy()));
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    asked,
    sessions,
    sockets,
    cut,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
}
