// Test your pipeline without a provider: a mock model that says what you tell it, faults where you want them, and recordings
// of the real thing, replayed for ever.
//
// prints: Summary: short.
// prints: asked: Summarise: a long text
// prints: at a cut: truncated
// prints: replayed: Summary: short.
// prints: missing_config replay: missing recording for "Summarise: another": 1 call is recorded
import { each, filter, isMillraceError, isText, pipe, type Processor, run } from "millrace";
import { fault, mockModel, record, recording, replay } from "millrace/testing";

// the pipeline under test takes its model as an argument
const summary = (model: Processor): Processor =>
  pipe(
    each((part) => (isText(part) ? `Summarise: ${part.text}` : part)),
    model,
    filter((part) => isText(part)),
  );

// 1. a mock model, which writes down what it was asked
const model = mockModel(["Summary: short."]);
console.log(await run(summary(model), "a long text").text());
console.log("asked:", model.calls[0]?.text);

// 2. a stream that is cut after one part must not pass for a whole one
const cut = fault(mockModel(["Summary: short."]), { faults: [{ kind: "truncate", at: 1 }] });
const outcome = await run(summary(cut), "a long text")
  .text()
  .catch((error: unknown) => (isMillraceError(error) ? error.code : error));
console.log("at a cut:", outcome);

// 3. record a model once, here another mock; write `notes.toString()` to a file and replay that in every test
const notes = recording();
await run(summary(record(mockModel(["Summary: short."]), { to: notes })), "a long text").collect();
const replayed = replay(notes.toString());
console.log("replayed:", await run(summary(replayed), "a long text").text());
await run(summary(replayed), "another")
  .text()
  .catch((error: unknown) => console.log(isMillraceError(error) ? `${error.code} ${error.message}` : error));
