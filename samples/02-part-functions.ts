// Part functions: one part in; a part, a text, nothing or many out. With `concurrency` several calls run at once, and the
// order of the stream is kept all the same.
//
// prints: kept in order: 30 20 10
// prints: calls at once: 3
import { each, filter, isText, pipe, run } from "millrace";

let now = 0;
let most = 0;

const words = each((part) => (isText(part) ? part.text.split(" ") : part));
const wanted = filter((part) => isText(part) && part.text !== "no");
const slow = each(
  async (part) => {
    now += 1;
    most = Math.max(most, now);
    await new Promise((resolve) => setTimeout(resolve, isText(part) ? Number(part.text) : 0));
    now -= 1;
    return isText(part) ? `${part.text} ` : part;
  },
  { concurrency: 3 },
);

const text = await run(pipe(words, wanted, slow), "30 no 20 10").text();
console.log("kept in order:", text.trim());
console.log("calls at once:", most);
