import { describe, expect, it } from "vitest";
import { keepMass } from "../src/lib/mass";
import { largest, percent, quoted } from "../src/lib/say";
import { retemper, softmax } from "../src/lib/softmax";

describe("softmax", () => {
  it("adds up to one, also for scores that overflow an exponential", () => {
    const weights = softmax([1000, 1001, -Infinity]);
    expect(weights[0]).toBeCloseTo(1 / (1 + Math.E), 6);
    expect(weights[1]).toBeCloseTo(Math.E / (1 + Math.E), 6);
    expect(weights[2]).toBe(0);
  });
  it("gives zeros to a query that may look nowhere", () => {
    expect([...softmax([-Infinity, -Infinity])]).toEqual([0, 0]);
  });
  it("keeps probabilities at temperature one, sharpens them below, flattens them above", () => {
    expect(retemper([0.6, 0.3, 0.1], 1)[0]).toBeCloseTo(0.6, 6);
    expect(retemper([0.6, 0.3, 0.1], 0.5)[0]).toBeCloseTo(0.36 / 0.46, 6);
    expect(retemper([0.6, 0.3, 0.1], 100)[2]).toBeCloseTo(1 / 3, 2);
  });
});

describe("what holds a share of the mass", () => {
  it("keeps the fewest, largest first", () => {
    const row = Float32Array.from([0.1, 0.5, 0, 0.4]);
    expect([...keepMass(row, 0.5)]).toEqual([0, 1, 0, 0]);
    expect([...keepMass(row, 0.6)]).toEqual([0, 1, 0, 1]);
    expect([...keepMass(row, 1)]).toEqual([1, 1, 0, 1]);
  });
});

describe("numbers in words", () => {
  it("rounds as people do", () => {
    expect([0.427, 0.0041, 0.0002, 0.00002, 0].map(percent)).toEqual(["43 %", "0.4 %", "0.02 %", "less than 0.01 %", "0 %"]);
  });
  it("finds the largest in order and leaves zeros out", () => {
    expect(largest(Float32Array.from([0.1, 0, 0.7, 0.2, 0.1]), 3)).toEqual([2, 3, 0]);
    expect(largest(Float32Array.from([0, 0.5]), 3)).toEqual([1]);
  });
  it("isolates tokens that run from right to left", () => {
    expect(quoted(" שלום")).toBe("“\u2068שלום\u2069”");
  });
});
