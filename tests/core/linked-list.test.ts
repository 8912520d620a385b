import fc from "fast-check";
import { expect, test } from "vitest";
import { LinkedList, type ListNode } from "../../src/core/linked-list.ts";

const numRuns = Number(process.env.PROPERTY_RUNS ?? 200);
const step = fc.oneof(
  fc.record({ kind: fc.constant("push" as const), value: fc.nat(5) }),
  fc.record({ kind: fc.constant("delete" as const), at: fc.nat() }),
  fc.record({ kind: fc.constant("move" as const), at: fc.nat() }),
  fc.record({ kind: fc.constant("clear" as const) }),
);

test("whatever comes and goes, the list holds what a list of all that came holds without those that left", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const list = new LinkedList<number>();
      const all: { readonly node: ListNode<number>; there: boolean }[] = [];
      for (const it of steps) {
        if (it.kind === "push") all.push({ node: list.push(it.value), there: true });
        else if (it.kind === "clear") {
          list.clear();
          for (const one of all) one.there = false;
        } else if (all.length > 0) {
          const one = all[it.at % all.length]!;
          if (it.kind === "move") {
            expect(list.move(one.node)).toBe(one.there);
            if (one.there) all.push(...all.splice(all.indexOf(one), 1));
            continue;
          }
          expect(list.delete(one.node)).toBe(one.there); // also a second time
          one.there = false;
        }
        const there = all.filter((one) => one.there);
        expect([...list]).toEqual(there.map(({ node }) => node.value));
        expect([list.size, list.first?.value]).toEqual([there.length, there[0]?.node.value]);
        for (const one of all) expect(list.has(one.node)).toBe(one.there);
      }
    }),
    { numRuns },
  );
});

test("what comes behind those for which something holds keeps a list sorted", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 20 }), fc.nat(), fc.nat(9), (values, at, to) => {
      const list = new LinkedList<{ rank: number; n: number }>();
      const nodes = values.map((rank, n) => list.push({ rank, n }, (other) => other.rank <= rank));
      const sorted = values.map((rank, n) => ({ rank, n })).sort((a, b) => a.rank - b.rank || a.n - b.n);
      expect([...list]).toEqual(sorted);
      const moved = nodes[at % nodes.length];
      if (moved === undefined) return;
      moved.value.rank = to;
      list.move(moved, (other) => other.rank <= to);
      const rest = sorted.filter(({ n }) => n !== moved.value.n);
      const place = rest.filter(({ rank }) => rank <= to).length;
      expect([...list]).toEqual(rest.toSpliced(place, 0, moved.value));
    }),
    { numRuns },
  );
});

test("who goes over it meets nobody that has left meanwhile, and nobody that came", () => {
  const list = new LinkedList<string>();
  const nodes = ["a", "b", "c"].map((value) => list.push(value));
  const met: string[] = [];
  for (const value of list) {
    met.push(value);
    if (value === "a") {
      list.delete(nodes[1]!);
      list.push("d");
    }
  }
  expect(met).toEqual(["a", "c"]);
});

test("the node of another list is none of this one's", () => {
  const [one, other] = [new LinkedList<number>(), new LinkedList<number>()];
  const node = other.push(1);
  expect([one.has(node), one.delete(node), [...other]]).toEqual([false, false, [1]]);
});

test("who has left keeps nobody else alive: it knows no neighbours", () => {
  const list = new LinkedList<object>();
  const [first, second] = [list.push({}), list.push({})];
  list.push({});
  list.delete(second);
  list.delete(first);
  for (const node of [first, second]) expect(Object.values(node).filter((held) => held !== undefined && held !== node.value)).toEqual([]);
});
