// A stage on another machine: its input goes there over a queue, its outputs come back part by part, and leaving it ends it over there. Here
// both sides are in one process, on queues in memory; in earnest each has redisStreams({ … }) or the like, and the worker is another program.
//
// prints: The answer is forty-two.
// prints: got 1, 2, 3, and had enough
// prints: ended over there: true
import { answerCalls, call, isText, type Part, type Processor, route, run, text } from "millrace";
import { memoryQueue } from "millrace/adapters/memory";
import { mockModel } from "millrace/testing";

const requests = memoryQueue({ name: "requests" });
const replies = memoryQueue({ name: "replies-of-web-1" });
const cancellations = memoryQueue({ name: "cancellations" }); // in earnest redisPubSub({ … }): every worker must hear of it

// Over there. Which queues it may answer to is said here; a message cannot name others.
const { promise: ended, resolve: end } = Promise.withResolvers<boolean>();
const counting: Processor = async function* (_, context) {
  context?.signal.addEventListener("abort", () => end(true));
  for (let count = 1; ; count += 1) {
    yield text(`${count}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};
const byQuestion = (part: Part): string => (isText(part) && part.text.startsWith("Count") ? "counting" : "model");
const stage = route(byQuestion, { routes: { counting, model: mockModel(["The answer is forty-two."]) } });
const worker = answerCalls(requests, stage, [replies], { cancellations, concurrency: 4 });

// Over here it is a processor like any other.
const remote = call(requests, replies, { cancellations, timeoutMs: 60_000 });
console.log(await run(remote, "What is the answer?").text());
const got: string[] = [];
for await (const part of run(remote, "Count!")) {
  if (isText(part)) got.push(part.text);
  if (got.length === 3) break;
}
console.log(`got ${got.join(", ")}, and had enough`);
console.log("ended over there:", await ended);
await worker.stop();
await Promise.all([requests, replies, cancellations].map((queue) => queue.close()));
