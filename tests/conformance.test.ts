import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { wireFaults } from "../src/testing/wire-faults.ts";
import { cellOf } from "./conformance/cells.ts";
import { providers, versionOf } from "./conformance/clients.ts";
import { matrixOf, rowsOf } from "./conformance/matrix.ts";

const matrix = readFileSync(join(import.meta.dirname, "conformance", "MATRIX.md"), "utf8");
const rows = rowsOf(matrix);
const isNode = !("Bun" in globalThis) && !("Deno" in globalThis);

describe("the committed matrix", () => {
  test("has every case of every service, in order", () => {
    const expected = providers.flatMap(({ voice }) => wireFaults.map(({ name, when }) => [voice.name, name, when]));
    expect(rows.map(({ service, fault, when }) => [service, fault, when])).toEqual(expected);
  });

  test("says of every case that our adapter is right, on three runtimes", () => {
    expect(rows.filter(({ ours }) => ours !== "right")).toEqual([]);
    const all = `${wireFaults.length} of ${wireFaults.length}`;
    for (const { voice, adapter } of providers) expect(matrix).toContain(`\n| ${voice.name} | \`${adapter}\` | ${all} | ${all} | ${all} | `);
    expect(matrix).toMatch(/\| right on Node [\d.]+ \| right on Bun [\d.]+ \| right on Deno [\d.]+ \|/);
    expect(matrix).toContain("took at most 100 ms on each runtime");
  });

  test("says of every official client that it is not right somewhere: the cases bite", () => {
    const honest = providers.filter(({ voice }) => rows.filter(({ service }) => service === voice.name).every(({ raw }) => raw === "right"));
    expect(honest.map(({ client }) => client)).toEqual([]);
  });
});

describe.each(providers)("$adapter is right when", (provider) => {
  test.each(wireFaults)("$name, $when", async (fault) => expect((await cellOf(fault, provider, "ours")).verdict).toBe("right"));
});

/** Cases that official clients end by themselves, so that nobody needs to lose patience. */
const quick = new Set(["the stream ends between events", "an event holds broken JSON", "401", "a redirect to another origin"]);

describe.skipIf(!isNode).each(providers)(`the official client of $voice.name does what the matrix says${isNode ? "" : " (skipped: the matrix has them on Node)"} when`, (provider) => {
  const written = rows.filter(({ service }) => service === provider.voice.name);
  const version = versionOf(provider.client);

  test.skipIf(version === undefined)("it is the version of the matrix", () => expect(matrix).toContain(`| \`${provider.client}\` ${version} |`));

  test.skipIf(version === undefined).for(wireFaults.filter(({ name }) => quick.has(name)))("$name, $when", async (fault) => {
    const { raw } = written.find(({ fault: name, when }) => name === fault.name && when === fault.when) ?? {};
    expect((await cellOf(fault, provider, "raw")).verdict).toBe(raw);
  });
});

test("what is written can be read again", () => {
  const [provider] = providers;
  if (provider === undefined) throw new Error("there are several");
  const cell = { fault: "it rains", when: "after content", client: "c", service: provider.voice.name };
  const written = matrixOf([provider], {
    ours: [{ runtime: "Node 1", cells: [{ ...cell, verdict: "right" }], abortMs: { a: 3, b: 100.5 } }],
    raw: [{ ...cell, verdict: "hangs, key leaves" }],
    versions: new Map([[provider.client, "9.9.9"]]),
  });
  expect(rowsOf(written)).toEqual([{ service: provider.voice.name, fault: "it rains", when: "after content", ours: "right", raw: "hangs, key leaves" }]);
  expect(written).toContain(`| ${provider.voice.name} | \`${provider.adapter}\` | 1 of 1 | \`${provider.client}\` 9.9.9 | 0 of 1 |`);
  expect(written).toContain("took up to 101 ms on each runtime");
  expect(rowsOf(matrixOf([provider], { ours: [{ runtime: "Node 1", cells: [{ ...cell, verdict: "right" }], abortMs: {} }], raw: [], versions: new Map() }))[0]?.raw).toBe("left out");
});
