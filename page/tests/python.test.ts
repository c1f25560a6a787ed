import { expect, it } from "vitest";
import { pythonFor } from "../src/lib/python";
import { MEAN, Trace } from "../src/lib/trace";
import { traceOf } from "./write";

const one = (id: string, kind: string, query: string) => ({ id, kind, query, heads: 2, rows: 3, columns: 4, numbers: id === "x" ? [5, 7] : null });
const trace = new Trace(traceOf([one("e", "self", "source"), one("d", "self", "target"), one("x", "cross", "target")], {}, { code: "seen = 1\n" }));

it.each([
  [0, 1, 'seen.weights(0, head=1, kind="self", stream="source")'],
  [1, MEAN, 'seen.weights(0, kind="self", stream="target")'],
  [2, 1, 'seen.weights(0, head=7, kind="cross")'],
])("names the map %i so that no other is meant", (map, head, call) => {
  expect(pythonFor(trace, trace.maps[map], head)).toContain(`seen = 1\nweights = ${call}`);
});
