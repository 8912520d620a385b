// Leaving a stream closes its source, once, before the next statement runs. An aborted stream rejects at once and with the
// very reason, also while its source is busy; it never looks like a finished one.
//
// prints: first part: 0
// prints: the source is closed
// prints: aborted: enough
// prints: the source is closed
import { each, isText, run, text } from "millrace";

async function* endless() {
  try {
    for (let i = 0; ; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      yield text(String(i));
    }
  } finally {
    console.log("the source is closed");
  }
}

const same = each((part) => part);

for await (const part of run(same, endless())) {
  if (isText(part)) console.log("first part:", part.text);
  break;
}

const controller = new AbortController();
setTimeout(() => controller.abort("enough"), 20);
try {
  await run(same, endless(), { signal: controller.signal }).text();
} catch (reason) {
  console.log("aborted:", reason);
}
