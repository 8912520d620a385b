// A limit of requests and of tokens: each call takes what it is estimated to need, waits for its turn, and is put right by what the
// model says it used. The clock stands still here, so that a minute takes no time.
//
// prints: first: at 0 s
// prints: second: at 0 s
// prints: third: at 30 s
// prints: too large: too_large
import { isMillraceError, rateLimit, run, text } from "millrace";
import { fakeClock, mockModel } from "millrace/testing";

const clock = fakeClock();
const usage = { inputTokens: 10, outputTokens: 500 };
const model = mockModel(() => ["A long answer.", { finish: "stop", usage }]);

// 1,000 tokens of output a minute; the model is told to stop at 500
const polite = rateLimit(model, { outputTokens: 1_000, perMs: 60_000, estimate: { outputTokens: 500 }, clock });

const calls = ["first", "second", "third"].map(async (name) => {
  await run(polite, text(name)).text();
  console.log(`${name}: at ${clock.now() / 1_000} s`);
});
await clock.advance(60_000);
await Promise.all(calls);

// what cannot fit at all is refused at once: here ten thousand characters of input against a limit of a thousand tokens
const narrow = rateLimit(model, { inputTokens: 1_000, perMs: 60_000, clock });
await run(narrow, "word ".repeat(2_000))
  .text()
  .catch((error: unknown) => console.log("too large:", isMillraceError(error) ? error.code : error));
