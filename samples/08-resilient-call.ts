// A call that survives what services do, wrapped from the outside. Until the first content is handed on, attempts and fallbacks are free
// and invisible; afterwards the error says what was delivered, and nothing is ever handed on twice.
//
// prints: attempt 1: unavailable
// prints: answer: It works.
// prints: answer of the other one: So do I.
// prints: cut after content: interrupted because truncated, got "The answer is"
// prints: stalled: timeout/firstPart
import { circuitBreaker, fallback, isMillraceError, MillraceError, pipe, type Processor, retry, run, timeout } from "millrace";
import { fault, mockModel } from "millrace/testing";

/** From outer to inner: all attempts together, the fallback, one attempt, its circuit, its clocks. */
const careful = (primary: Processor, other: Processor): Processor =>
  timeout(
    fallback(
      retry(circuitBreaker(timeout(primary, { firstPartMs: 50, idleMs: 50 })), {
        attempts: 2,
        baseMs: 1,
        onRetry: ({ attempt, error }) => console.log(`attempt ${attempt}: ${isMillraceError(error) ? error.code : String(error)}`),
      }),
      other,
    ),
    { totalMs: 10_000 },
  );

const down = new MillraceError("unavailable", "the service is down");
const flaky = mockModel([[{ error: down }], "It works."]);
console.log("answer:", await run(careful(flaky, mockModel([])), "Do you work?").text());

const broken = mockModel(() => [{ error: new MillraceError("unauthorized", "no key") }]); // not worth another attempt
console.log("answer of the other one:", await run(careful(broken, mockModel(["So do I."])), "Do you work?").text());

const cut = fault(mockModel(["The answer is forty-two."]), { faults: [{ kind: "truncate", at: 3 }] });
const stalled = fault(mockModel(["Never."]), { faults: [{ kind: "stall", at: 0 }] });
for (const [name, processor] of [["cut after content", cut], ["stalled", timeout(stalled, { firstPartMs: 20 })]] as const) {
  try {
    await run(pipe(retry(processor, { attempts: 1 })), "?").text();
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    const cause = isMillraceError(error.cause) ? ` because ${error.cause.code}` : "";
    const got = error.partial === undefined ? "" : `, got ${JSON.stringify(error.partial.text.trim())}`;
    console.log(`${name}: ${error.code}${error.phase === undefined ? "" : `/${error.phase}`}${cause}${got}`);
  }
}
