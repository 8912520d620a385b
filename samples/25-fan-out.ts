// Fan-out: each output goes to two brokers, and the message is acknowledged when both have confirmed it. While one of them is away the worker
// pauses, and goes on by itself; what the other has got already it gets again, under the same message id.
//
// prints: the archive is away: paused, nothing is acknowledged
// prints: back: resumed
// prints: search has a, a, b
// prints: archive has a, b
// prints: different ids in search: 2
import { consume, isText, MillraceError, pipe, publish, type Queue, run } from "millrace";
import { memoryQueue } from "millrace/adapters/memory";

const orders = memoryQueue({ name: "orders" });
await run(publish(orders), ["a", "b"]).collect();

// In their place: redisStreams({ url: …, stream: "search" }) and kafka({ brokers: …, topic: "archive" }).
const search = memoryQueue({ name: "search" });
const archive = memoryQueue({ name: "archive" });
let outages = 1;
const flaky: Queue["send"] = async (parts, options) => {
  if (outages-- > 0) throw new MillraceError("unavailable", "the archive is away", { retryAfterMs: 1 });
  return archive.send(parts, options);
};

let left = 2;
const worker = consume(orders, pipe(), [search, async (part, { key, signal }) => void (await flaky([part], { id: key, signal }))], {
  ordering: "strict",
  onEvent(event) {
    if (event.kind === "paused") console.log("the archive is away: paused, nothing is acknowledged");
    if (event.kind === "resumed") console.log("back: resumed");
    if (event.kind === "acked" && --left === 0) void worker.stop();
  },
});
await worker.finished;

async function messagesIn(queue: Queue): Promise<{ readonly words: string; readonly ids: number }> {
  const drain = new AbortController();
  setTimeout(() => drain.abort(), 20);
  const words: string[] = [];
  const ids = new Set<string | undefined>();
  for await (const delivery of queue.open({ signal: new AbortController().signal, drain: drain.signal, maxInFlight: 10 })) {
    for (const part of delivery.parts) if (isText(part)) words.push(part.text);
    ids.add(delivery.messageId);
    await delivery.ack();
  }
  return { words: words.join(", "), ids: ids.size };
}
const [found, kept] = [await messagesIn(search), await messagesIn(archive)];
console.log("search has", found.words);
console.log("archive has", kept.words);
console.log("different ids in search:", found.ids);
await Promise.all([orders.close(), search.close(), archive.close()]);
