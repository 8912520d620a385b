import { inspect } from "node:util";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { dialing } from "../../src/adapters/rabbitmq/dial.ts";
import { rabbitmq } from "../../src/adapters/rabbitmq/index.ts";

describe("the address of a broker", () => {
  test("may have a password with any sign, a percent sign too, as long as it is encoded", () => {
    for (const written of ["a%25b%25zz", "%E2%82%AC%25", "100%25"]) expect(() => rabbitmq({ url: `amqp://u:${written}@127.0.0.1:1`, queue: "q" }), written).not.toThrow();
  });

  test("with a user name or a password that is not encoded is refused, and not shown", () => {
    for (const user of ["u:canary%ss", "canary%ss:p"]) {
      let error: unknown;
      try {
        rabbitmq({ url: `amqp://${user}@127.0.0.1:1`, queue: "q" });
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toMatchObject({ code: "invalid_input", message: expect.stringContaining("percent-encoded") });
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain("canary");
    }
  });

  test("shows the password in no message, neither as it is written nor as it is meant", () => {
    const { toError } = dialing({ url: "amqp://u:hunter%252canary@127.0.0.1:1" });
    for (const shown of ["hunter%252canary", "hunter%2canary"]) expect(toError("test", new Error(`bad ${shown}!`)).message).toBe("rabbitmq: test: bad …!");
  });

  test("gives the broker the password as it is meant", async () => {
    const heard = Promise.withResolvers<string>();
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      let isGreeted = false;
      socket.on("error", () => {});
      socket.on("data", (chunk) => {
        if (isGreeted) return heard.resolve(chunk.toString("latin1"));
        isGreeted = true;
        socket.write(connectionStart());
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const { dial } = dialing({ url: `amqp://u:a%2541b@127.0.0.1:${port}` });
    const dialed = dial(new AbortController().signal).catch((error: unknown) => error);
    expect(await heard.promise).toContain("\0u\0a%41b");
    for (const socket of sockets) socket.destroy();
    await dialed;
    server.close();
  });
});

/** What a broker says first, AMQP 0-9-1 §1.4.2.1: no properties, one mechanism, one language. */
function connectionStart(): Buffer {
  const long = (word: string): Buffer => {
    const bytes = Buffer.alloc(4 + word.length, word);
    bytes.writeUInt32BE(word.length);
    bytes.write(word, 4);
    return bytes;
  };
  const payload = Buffer.concat([Buffer.from([0, 10, 0, 10, 0, 9, 0, 0, 0, 0]), long("PLAIN"), long("en_US")]);
  const frame = Buffer.alloc(7 + payload.length + 1);
  frame.writeUInt8(1);
  frame.writeUInt32BE(payload.length, 3);
  payload.copy(frame, 7);
  frame.writeUInt8(0xce, 7 + payload.length);
  return frame;
}
