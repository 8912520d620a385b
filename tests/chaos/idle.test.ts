import { describe, test } from "vitest";
import { service, titled } from "../services.ts";
import type { ServiceAnswer } from "../services/registry.ts";
import { idleKinds } from "./idle-kinds.ts";
import { idleComplaints, readersIn } from "./idle-row.ts";

describe("readers that wait do not grow, each is there when a message comes, and all they held is given back", async () => {
  for (const { title, service: name, readers } of idleKinds) {
    const answer: ServiceAnswer = name === undefined ? { url: "", from: "" } : await service(name);
    const few = Math.min(readers, name === "kafka" ? 10 : 200);
    // each in a process of its own, which mostly waits
    (answer.skip === undefined ? test.concurrent : test.skip)(titled(`${few} ${title}${name === undefined ? "" : ` (${name})`}`, answer), async ({ expect }) => {
      const found = await readersIn({ title, url: answer.url ?? "", readers: few, idleMs: 1_000 });
      expect(idleComplaints(found, 2 * 2 ** 20)).toEqual([]);
      expect(found.readers).toBe(few);
    }, 120_000);
  }
});
