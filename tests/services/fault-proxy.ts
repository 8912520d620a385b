/**
 * A TCP proxy between a client and a server on loopback that breaks connections on purpose, while they live.
 *
 * What it did is counted from its side: how often a client came back is seen here, not asked of the client.
 *
 * @module
 */
import { createServer, connect, type Socket } from "node:net";

/** `up` is from the client to the server. */
type Direction = "up" | "down";

/** What is done to connections; all of it may be changed at any time. */
export interface Faults {
  /** Milliseconds by which each chunk is late. Chunks overlap, so throughput stays. */
  latencyMs: number;
  /** @default 0: no limit */
  bytesPerSecond: number;
  /** Bytes written at a time: finds who takes a chunk for a message. @default 0: as they come */
  sliceBytes: number;
  /** Half-open: the connection stays up, and this way nothing passes. */
  silent: Direction | "both" | undefined;
  /** New connections are reset at once. */
  refuse: boolean;
  /** After so many bytes of a connection it is reset, in the middle of whatever it was. */
  cutAfter: { up: number; down: number };
}

/** A running proxy. */
export interface FaultProxy extends AsyncDisposable {
  readonly port: number;
  readonly faults: Faults;
  /** Connections that came so far, refused ones too. */
  readonly connections: number;
  /** Connections that are open now. */
  readonly open: number;
  /** No more faults; what was held back passes. */
  heal(): void;
  /** Resets every connection. */
  cut(): void;
}

/** Bytes held in one direction before the sender is paused: a proxy pushes back too. */
const highWater = 1 << 20;

/** Starts a proxy before a server on a loopback port. */
export async function faultProxy(port: number, host = "127.0.0.1"): Promise<FaultProxy> {
  const faults: Faults = none();
  const sockets = new Set<Socket>();
  let connections = 0;
  let closed = false;
  const isSilent = (direction: Direction): boolean => !closed && (faults.silent === "both" || faults.silent === direction);

  const forward = (from: Socket, to: Socket, direction: Direction): void => {
    let passed = 0;
    let held = 0;
    let order: Promise<unknown> = Promise.resolve();
    const hand = async (chunk: Buffer, due: number): Promise<void> => {
      const wait = due - performance.now();
      if (wait > 1) await pause(wait);
      while (isSilent(direction) && !to.destroyed) await pause(5);
      if (to.destroyed) return;
      const left = faults.cutAfter[direction] - passed;
      if (chunk.length >= left) {
        to.write(chunk.subarray(0, Math.max(0, left)));
        await pause(5); // the bytes leave before the reset throws them away
        from.resetAndDestroy();
        to.resetAndDestroy();
        return;
      }
      passed += chunk.length;
      const step = faults.sliceBytes > 0 ? faults.sliceBytes : chunk.length;
      for (let at = 0; at < chunk.length && !to.destroyed; at += step) {
        if (!to.write(chunk.subarray(at, at + step))) await drained(to);
        if (step < chunk.length) await pause(0); // a turn of the loop: separate reads on the other side
      }
      // in steps, so that it ends when it is healed
      for (let bytes = chunk.length; bytes > 0 && faults.bytesPerSecond > 0 && !closed; bytes -= faults.bytesPerSecond / 20) await pause(50);
      held -= chunk.length;
      if (held < highWater / 2) from.resume();
    };
    from.on("data", (chunk: Buffer) => {
      const due = performance.now() + faults.latencyMs;
      held += chunk.length;
      if (held > highWater) from.pause();
      order = order.then(() => hand(chunk, due));
    });
    from.on("end", () => void (order = order.then(() => to.end()))); // a half close stays one
    from.on("error", () => to.destroy());
    from.on("close", () => {
      sockets.delete(from);
      order = order.then(() => to.destroy());
    });
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    connections += 1;
    client.on("error", () => {});
    if (faults.refuse) return void client.resetAndDestroy();
    const upstream = connect({ port, host, allowHalfOpen: true, noDelay: true });
    sockets.add(client).add(upstream);
    forward(client, upstream, "up");
    forward(upstream, client, "down");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: address.port,
    faults,
    get connections() {
      return connections;
    },
    get open() {
      return sockets.size / 2;
    },
    heal: () => void Object.assign(faults, none()),
    cut,
    async [Symbol.asyncDispose]() {
      closed = true;
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** From now on connections are refused; resolves, after so many of them, with the milliseconds that they took to come. A busy machine only makes it more. */
export async function refused(proxy: FaultProxy, tries: number): Promise<number> {
  const [before, startMs] = [proxy.connections, performance.now()];
  proxy.faults.refuse = true;
  proxy.cut();
  while (proxy.connections - before < tries) await pause(5);
  return performance.now() - startMs;
}

function none(): Faults {
  return { latencyMs: 0, bytesPerSecond: 0, sliceBytes: 0, silent: undefined, refuse: false, cutAfter: { up: Infinity, down: Infinity } };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.once("drain", resolve).once("close", resolve));
}
