// Provider fallback: when one provider is down, another answers, and the consumer sees one whole answer. After the first content there is
// no way back: a stream that breaks later is an error, never a mixture.
//
// prints: answered by second: All is well.
// prints: asked: first 3 times, second once
// prints: half an answer is interrupted, after "All is"
import { fallback, isFinish, isMillraceError, MillraceError, retry, run } from "millrace";
import { mockModel } from "millrace/testing";

// In place of `openai({ … })` and `anthropic({ … })`.
const down = new MillraceError("unavailable", "first: 503");
const first = mockModel(() => [{ error: down }], { name: "first" });
const second = mockModel(["All is well.", ["All is ", { error: new MillraceError("unavailable", "second: the connection was lost") }]], { name: "second" });

const careful = fallback(retry(first, { attempts: 3, baseMs: 1 }), second);
const parts = await run(careful, "How are things?").collect();
const text = parts.map((part) => (part.kind === "text" ? part.text : "")).join("");
console.log(`answered by ${parts.find(isFinish)?.model}: ${text}`);
console.log(`asked: first ${first.calls.length} times, second once`);

await run(careful, "And now?")
  .text()
  .catch((error: unknown) => {
    if (!isMillraceError(error)) throw error;
    console.log(`half an answer is ${error.code}, after ${JSON.stringify(error.partial?.text.trim())}`);
  });
