// Chat with history: a conversation keeps what was said right, across tools, failures and aborts, and within the model's window. With a
// store it goes on in another process.
//
// prints: Noted: the 12th.
// prints: The meeting is on the 12th.
// prints: failed: interrupted, and the history still has 7 parts, the last by user
// prints: Five past nine.
// prints: another process: 8 parts
import { approximateTokens, conversation, isMillraceError, MillraceError, tool, trimHistory, withTools } from "millrace";
import { memoryKeyValue } from "millrace/adapters/memory";
import { mockModel } from "millrace/testing";

const note = tool({ name: "note", description: "Keeps a date.", run: () => "kept" });
const model = mockModel([
  [{ toolCall: { name: "note" } }],
  "Noted: the 12th.",
  "The meeting is on the 12th.",
  ["It is ", { error: new MillraceError("unavailable", "the connection was lost") }],
  "Five past nine.",
]);

const store = memoryKeyValue(); // or one in Redis or Postgres
const trim = trimHistory({ maxTokens: 100_000, count: approximateTokens });
const chat = conversation(withTools(model, [note]), { store, id: "user-7", trim });

console.log(await chat.send("The meeting is on the 12th, note that.").text());
console.log(await chat.send("When is it?").text());
await chat
  .send("What time is it now?")
  .text()
  .catch((error: unknown) => {
    if (!isMillraceError(error)) throw error;
    console.log(`failed: ${error.code}, and the history still has ${chat.history.length} parts, the last by ${chat.history.at(-1)?.role}`);
  });
console.log(await chat.send([]).text()); // asks again, with nothing new

const later = conversation(model, { store, id: "user-7" });
console.log("another process:", (await later.load()).length, "parts");
await store.close();
