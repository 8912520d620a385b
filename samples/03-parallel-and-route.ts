// Several ways for one stream: `parallel` gives every part to each branch, `route` to one of them.
//
// prints: 2 letters; upper: AB | 1 letters; upper: C |
// prints: a number: 7, a text: x
import { each, isText, json, parallel, route, run, text } from "millrace";

const count = each((part) => (isText(part) ? `${part.text.length} letters; ` : part));
const upper = each((part) => (isText(part) ? `upper: ${part.text.toUpperCase()} | ` : part));

console.log((await run(parallel(count, upper), ["ab", "c"]).text()).trim());

const describe = route((part) => part.kind, {
  routes: {
    json: each((part) => (part.kind === "json" ? `a number: ${JSON.stringify(part.value)}, ` : part)),
    text: each((part) => (isText(part) ? `a text: ${part.text}` : part)),
  },
});

console.log(await run(describe, [json(7), text("x")]).text());
