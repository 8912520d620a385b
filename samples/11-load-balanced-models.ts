// Several models that do the same, as one: the quicker and less busy one gets the call, one that fails goes on leave, and a call that
// fails before its first content goes to another.
//
// prints: 40 answers, none lost
// prints: the failing one was asked 6 times, and is out: true
// prints: the slow one got less than the quick one: true
// prints: answered by quick
import { isFinish, loadBalance, MillraceError, run } from "millrace";
import { fakeClock, mockModel } from "millrace/testing";

const clock = fakeClock();
const quick = mockModel(() => "Here you are.", { clock, deltaMs: 5 });
const slow = mockModel(() => "Here … you … are.", { clock, deltaMs: 200 });
const failing = mockModel(() => [{ error: new MillraceError("unavailable", "down") }]);
const models = loadBalance(
  [
    { id: "quick", processor: quick },
    { id: "slow", processor: slow },
    { id: "failing", processor: failing },
  ],
  { clock, random: seeded(7) },
);

let answers = 0;
for (let i = 0; i < 40; i += 1) {
  const answer = run(models, "Please.").text();
  await clock.advance(2_000);
  if ((await answer).includes("you")) answers += 1;
}
console.log(`${answers} answers, none lost`);
const left = models.status().find(({ id }) => id === "failing");
console.log(`the failing one was asked ${failing.calls.length} times, and is out: ${left?.healthy === false}`);
console.log("the slow one got less than the quick one:", slow.calls.length < quick.calls.length);

const last = run(models, "Please.").collect();
await clock.advance(2_000);
console.log("answered by", String((await last).find(isFinish)?.metadata.endpoint));
await models.close();

/** The same chances each time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
