// A saga: steps that act on the world, and what takes each of them back when a later one fails. The error is still the error of
// the step; what could not be undone is on it.
//
// prints: reserve seat 12A
// prints: charge 40 EUR
// prints: refund 40 EUR
// prints: free seat 12A
// prints: print: out of paper
import { compensate, each, isJson, isText, json, run } from "millrace";

const booking = compensate(
  [
    {
      name: "reserve",
      run: each((part) => {
        console.log("reserve seat 12A");
        return json({ seat: "12A", guest: isText(part) ? part.text : "" });
      }),
      undo: (output) => {
        for (const part of output) if (isJson(part)) console.log("free seat", (part.value as { seat: string }).seat);
      },
    },
    {
      name: "charge",
      run: each((part) => {
        console.log("charge 40 EUR");
        return part;
      }),
      // context.key is the same at every attempt to undo this: hand it to a service that ignores what it has done already
      undo: (_output, context) => console.log(context.key.endsWith(":charge") ? "refund 40 EUR" : "?"),
    },
    {
      name: "print",
      run: each(() => {
        throw new Error("print: out of paper");
      }),
    },
  ],
  { name: "booking" },
);

await run(booking, "Ada")
  .text()
  .catch((error: unknown) => console.log(error instanceof Error ? error.message : error));
