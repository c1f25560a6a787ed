import { describe, expect, it } from "vitest";
import { column } from "../src/lib/column";
import { difference, overlap } from "../src/lib/compare";
import { work } from "../src/lib/neuron";
import { rollout, rolloutLayers } from "../src/lib/rollout";
import { rowOf, stepsOf } from "../src/lib/steps";
import { MEAN, type MapInfo, type TextStream, type Trace } from "../src/lib/trace";
import { bytes, made, map, places, reals, words } from "./made";

const N = 5;
const some = (n: number, seed: number) => Array.from({ length: n }, (_, i) => ((i * 73 + seed * 151) % 251) + 1);

/** Two layers of two heads; `causal` rows see what stands before them. */
function stack(causal = false): Trace {
  const tensors: Record<string, ReturnType<typeof bytes>> = {};
  for (const id of ["0", "1"]) {
    const data = some(2 * N * N, Number(id) + 1).map((byte, i) => (causal && i % N > Math.floor(i / N) % N ? 0 : byte));
    const tops = Array.from({ length: 2 * N }, (_, r) => 255 / data.slice(r * N, r * N + N).reduce((a, b) => a + b));
    tensors[`${id}.weights`] = bytes([2, N, N], data);
    tensors[`${id}.rowmax`] = reals([2, N], tops);
  }
  return made([map("0", N, N, { heads: 2, causal }), map("1", N, N, { heads: 2, causal })], tensors);
}

/** The same weights, as the largest of each row and where they lie. */
function topped(trace: Trace, n: number): Trace {
  const tensors: Record<string, ReturnType<typeof bytes>> = {};
  for (const one of trace.maps) {
    const rows = [0, 1].flatMap((head) => Array.from({ length: N }, (_, t) => [...trace.row(one, head, t).entries()].sort((a, b) => b[1] - a[1]).slice(0, n)));
    tensors[`${one.id}.top.values`] = reals([2, N, n], rows.flat().map(([, weight]) => weight));
    tensors[`${one.id}.top.indices`] = words([2, N, n], rows.flat().map(([s]) => s));
  }
  return made(trace.maps.map((one) => ({ ...one, store: "top" })), tensors);
}

function byHand(trace: Trace, t: number, residual: number): number[] {
  let row = Array.from({ length: N }, (_, i) => Number(i === t));
  for (const one of [...trace.maps].reverse()) {
    row = row.map((_, s) => row.reduce((sum, part, q) => sum + part * (residual * Number(q === s) + (1 - residual) * trace.row(one, MEAN, q)[s]), 0));
  }
  return row;
}

const close = (a: ArrayLike<number>, b: ArrayLike<number>, digits = 5) => {
  expect(a.length).toBe(b.length);
  for (let i = 0; i < a.length; i++) expect(a[i], `entry ${i}`).toBeCloseTo(b[i], digits);
};

describe("who takes from one key", () => {
  const rowsOf = (trace: Trace, one: MapInfo, head: number, s: number) => Array.from({ length: one.rows }, (_, t) => trace.row(one, head, t)[s]);

  it.each([0, 1, MEAN])("is the column of head %i, whatever the store", (head) => {
    for (const trace of [stack(), topped(stack(), 2)]) {
      for (let s = 0; s < N; s++) close(column(trace, trace.maps[0], head, s), rowsOf(trace, trace.maps[0], head, s));
    }
  });
  it("is the column of a map of shifted windows", () => {
    const one = map("0", 4, 4, { store: "windows", window: [1, 2], shift: [0, 1], grid: [1, 4] });
    const trace = made([one], { "0.weights": bytes([1, 2, 2, 2], some(8, 3)), "0.rowmax": reals([1, 2, 2], [0.6, 0.7, 0.8, 0.9]), "0.places": places([2, 2], [1, 2, 3, 0]) });
    for (let s = 0; s < 4; s++) close(column(trace, one, 0, s), rowsOf(trace, one, 0, s));
    expect(column(trace, one, 0, 0)[3]).toBeGreaterThan(0);
    expect(column(trace, one, 0, 0)[1]).toBe(0);
  });
});

describe("rollout", () => {
  it.each([0, 0.3, 0.5])("is the product of the layers' means, mixed with %f of the identity", (residual) => {
    for (const trace of [stack(), stack(true)]) {
      for (let t = 0; t < N; t++) close(rollout(trace, rolloutLayers(trace, trace.maps[0]), t, residual), byHand(trace, t, residual));
    }
  });
  it("is the same from the largest weights, if these are all", () => {
    const trace = topped(stack(true), N);
    for (let t = 0; t < N; t++) close(rollout(trace, trace.maps, t, 0.4), byHand(stack(true), t, 0.4));
  });
  it("spreads evenly what the largest weights leave, and never on what stands after", () => {
    const trace = topped(stack(true), 2);
    const row = rollout(trace, trace.maps, 2, 0.5);
    expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    expect([...row.slice(3)]).toEqual([0, 0]);
  });
  it("is not offered where lengths or windows change", () => {
    const trace = made([map("0", 4, 4), map("1", 2, 2)], {});
    expect(rolloutLayers(trace, trace.maps[0])).toEqual([]);
  });
});

describe("a weight worked out by hand", () => {
  const one = map("0", 3, 3, { heads: 2, kv_heads: 1, causal: true, scale: 0.5 });
  const [q, k, v] = [[1, 2, 0, 1, 3, -1, -1, 0, 2, 2, 1, 1], [1, 0, 0, 1, 1, 1], [1, 0, 0, 1, 5, 5]];
  const trace = made([one], { "0.q": reals([2, 3, 2], q), "0.k": reals([1, 3, 2], k), "0.v": reals([1, 3, 2], v), "0.bias": reals([2, 3, 3], Array(18).fill(0).map((_, i) => i / 10)) });

  it("shares keys in a group, adds the bias, scales, and keeps out what stands after", () => {
    const done = work(trace, one, 1, 1)!;
    expect([...done.q]).toEqual([2, 2]);
    expect([...done.dots]).toEqual([2, 2, 4]);
    close(done.scores, [1 + 1.2, 1 + 1.3, -Infinity]);
    const [a, b] = [Math.exp(2.2), Math.exp(2.3)];
    close(done.weights, [a / (a + b), b / (a + b), 0]);
    close(done.z!, [a / (a + b), b / (a + b)]);
  });
  it("says so where a trace holds weights only", () => {
    expect(work(stack(), stack().maps[0], 0, 0)).toBeNull();
  });
});

describe("two heads", () => {
  const table = (values: number[]) => ({ values: Float32Array.from(values), rows: 1, columns: values.length, step: [1, 1] as [number, number] });
  it("agree wholly with themselves, not at all with their opposite", () => {
    expect(overlap(table([0.5, 0.5]), table([0.5, 0.5]))).toBe(1);
    expect(overlap(table([1, 0]), table([0, 1]))).toBe(0);
    expect(overlap(table([0.75, 0.25]), table([0.25, 0.75]))).toBeCloseTo(0.5, 6);
  });
  it("have no difference where their sizes differ", () => {
    expect(difference(table([1]), table([1, 2]))).toBeNull();
    expect([...difference(table([1, 0.5]), table([0.25, 0.5]))!]).toEqual([0.75, 0]);
  });
});

describe("the steps of writing", () => {
  const stream = { name: "text", kind: "text", tokens: ["a", "b", "c"], generated: 1 } as TextStream;
  const outputs = [{ kind: "steps", first: 1, steps: [{ token: "b", id: 1, top: [["b", 1]] }, { token: "c", id: 2, top: [["c", 1]] }] }];
  it("stand where the text goes on", () => {
    expect(stepsOf(made([], {}, { streams: [stream], outputs }))!.steps.map((step) => step.at)).toEqual([1, 2]);
    expect(stepsOf(made([], {}))).toBeNull();
  });
  it("are chosen from the row of the token before, or from their own row where queries are the written tokens", () => {
    expect(rowOf(map("0", 3, 3, { causal: true }), stream, 2)).toBe(1);
    expect(rowOf(map("0", 3, 9, { key: "source" }), stream, 2)).toBe(2);
    expect(rowOf(map("0", 3, 3, { query: "source" }), stream, 2)).toBeNull();
  });
});
