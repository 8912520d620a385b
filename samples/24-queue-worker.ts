// A worker: each message is one run of a pipeline, acknowledged when every output is confirmed. What failed by chance is tried again, what
// cannot be worked on is set aside with the reason, and dead letters go back once their cause is mended. SIGTERM lets what has begun end.
//
// prints: stored INVOICE 1
// prints: again: jobs/2 after timeout
// prints: stored INVOICE 2
// prints: set aside: jobs/3 after invalid_input
// prints: acked 2, dead letters 1
// prints: replayed 1
// prints: stored INVOICE 3
import { consume, each, isMillraceError, isText, MillraceError, publish, replay, run, stopOnSignals } from "millrace";
import { memoryQueue } from "millrace/adapters/memory";

// In their place: redisStreams({ … }), rabbitmq({ … }), kafka({ … }), nats({ … }), postgresQueue({ … }). In memory nothing outlives the process.
const jobs = memoryQueue({ name: "jobs" });
const dead = memoryQueue({ name: "jobs-dead" });
await run(publish(jobs), ["invoice 1", "invoice 2", "invoice 3"]).collect();

const ledger = new Set(["invoice 1", "invoice 2"]);
let outages = 1;
const book = each((part) => {
  if (!isText(part)) return part;
  if (part.text === "invoice 2" && outages-- > 0) throw new MillraceError("timeout", "the ledger did not answer"); // may be chance
  if (!ledger.has(part.text)) throw new MillraceError("invalid_input", "there is no such invoice"); // never is
  return part.text.toUpperCase();
});

/** Works until so many messages are done with, in a service for ever. False when a signal has stopped it before. */
async function work(messages: number): Promise<boolean> {
  const worker = consume(jobs, book, async (part) => console.log("stored", isText(part) && part.text), {
    deadLetter: dead,
    maxDeliveries: 5,
    ordering: "strict",
    baseMs: 1,
    onEvent(event) {
      const code = "error" in event && isMillraceError(event.error) ? event.error.code : "";
      if (event.kind === "retried") console.log(`again: ${event.id} after ${code}`);
      if (event.kind === "dead_letter") console.log(`set aside: ${event.id} after ${code}`);
      if ((event.kind === "acked" || event.kind === "dead_letter") && --messages === 0) void worker.stop({ deadlineMs: 10_000 });
    },
  });
  stopOnSignals(worker);
  await worker.finished;
  const { acked, deadLettered } = worker.counters;
  if (deadLettered > 0) console.log(`acked ${acked}, dead letters ${deadLettered}`);
  return messages <= 0;
}

if (await work(3)) {
  ledger.add("invoice 3");
  const { replayed } = await replay(dead, jobs, { idleMs: 10 });
  console.log("replayed", replayed);
  await work(1);
}
await Promise.all([jobs.close(), dead.close()]); // a connection that is open keeps the program
