// A cache around any processor: equal calls make one call. Only complete answers are kept, calls at the same time share one, and
// whose answers they are must be said.
//
// prints: Paris. Paris. calls: 1
// prints: finish: hit, 0 tokens
// prints: ten at once, calls: 2
// prints: another tenant, calls: 3
// prints: a cut answer is not kept, calls: 5
import { cache, isFinish, run } from "millrace";
import { mockModel } from "millrace/testing";

const model = mockModel(({ text }) => (text.includes("poem") ? ["Roses are", { finish: "length" }] : "Paris."));
const answers = cache(model, { scope: (context) => context.correlationId.split(":")[0] ?? "", ttlMs: 60_000 });
const ask = (question: string, tenant = "acme") => run(answers, question, { correlationId: `${tenant}:1` });

console.log(await ask("Capital of France?").text(), await ask("Capital of France?").text(), "calls:", model.calls.length);

const finish = (await ask("Capital of France?").collect()).find(isFinish);
console.log(`finish: ${String(finish?.metadata.cache)}, ${finish?.usage.outputTokens} tokens`);

await Promise.all(Array.from({ length: 10 }, () => ask("And of Italy?").text()));
console.log("ten at once, calls:", model.calls.length);

await ask("Capital of France?", "globex").text();
console.log("another tenant, calls:", model.calls.length);

for (let i = 0; i < 2; i += 1) await ask("A long poem, please.").text();
console.log("a cut answer is not kept, calls:", model.calls.length);
