import { describe, expect, test } from "vitest";
import { service, titled } from "../services.ts";
import { brokers } from "./brokers.ts";
import { outOfOrder } from "./kafka-rebalance.ts";
import { Oracle } from "./oracle.ts";
import { payload, readPayload } from "./payload.ts";
import { workersKilled } from "./rows.ts";
import { line, markdown, merged } from "./table.ts";

describe("the oracle", () => {
  test("knows what is lost, what came twice, and what nobody sent", () => {
    const oracle = new Oracle();
    for (const id of [1, 2, 3, 4]) oracle.begins(id);
    oracle.writes(1); // before its sender heard that it was confirmed
    for (const id of [1, 2, 3]) oracle.owes(id);
    for (const id of [2, 2, 4, 9, undefined]) oracle.writes(id);
    expect(oracle.account()).toEqual({ owed: 3, lost: 1, duplicates: 1, wrong: 2 }); // 3; 2; 9 and what was no message of ours
    expect([oracle.done, oracle.left]).toEqual([3, 1]);
  });

  test("knows in which order messages were first written, and which of them came after a later one of their key", () => {
    const oracle = new Oracle();
    for (const id of [1, 65, 2, 129, 66]) oracle.begins(id);
    for (const id of [1, 129, 65, 2, 129, 66]) oracle.writes(id);
    expect(oracle.firsts).toEqual([1, 129, 65, 2, 66]);
    expect([outOfOrder(oracle.firsts), outOfOrder([1, 65, 2, 66, 129])]).toEqual([1, 0]); // 65 after 129; 64 keys
  });

  test("a message that was changed is none of ours", () => {
    const [part] = payload(7, "slow");
    expect(readPayload(payload(7, "slow"))).toEqual({ id: 7, kind: "slow" });
    const text = part?.kind === "text" ? part : undefined;
    expect(readPayload([{ ...text!, text: `${text!.text.slice(0, -1)}?` }])).toBeUndefined();
    expect(readPayload([{ ...text!, text: text!.text.replace("7 ", "8 ") }])).toBeUndefined();
    expect(readPayload([])).toBeUndefined();
  });

  test("a result with complaints says so on its line, and a table has a row for each result", () => {
    const row = { row: "worker killed", messages: 1_000, lost: 1, duplicates: 20, explained: "why", seconds: 1.23, complaints: ["1 lost"] };
    expect(line("Redis", row)).toBe("Redis worker killed: 1000 messages, lost 1, dup 20 (2.00 %; why), 1.2 s FAILED: 1 lost");
    const other = { ...row, row: "broker killed" };
    const [both] = merged([{ broker: "Redis", from: "redis 7", rows: [other, row] }], [{ broker: "Redis", from: "redis 8", rows: [{ ...row, lost: 0 }] }]);
    expect(both).toEqual({ broker: "Redis", from: "redis 8", rows: [other, { ...row, lost: 0 }] });
    expect(markdown([{ broker: "Redis", from: "redis 7", rows: [row] }])).toContain("| Redis | worker killed | 1,000 | 1 | 20 | why | 1 |");
  });
});

for (const broker of brokers) {
  const answer = await service(broker.service);
  describe.skipIf(answer.skip !== undefined)(titled(`${broker.name}, in short`, answer), () => {
    test("two workers killed in the middle of their work lose nothing", async () => {
      const { lost, complaints } = await workersKilled({ broker, server: { url: answer.url ?? "" }, messages: 2_000, workMs: 100 }, 2);
      expect(`${lost} lost; ${complaints.join("; ")}`).toBe("0 lost; ");
    });
  });
}
