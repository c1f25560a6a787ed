/** Scores to weights; the largest score is taken off first, so that no exponential overflows. */
export function softmax(scores: ArrayLike<number>): Float32Array {
  const out = Float32Array.from(scores);
  let largest = -Infinity;
  for (const score of out) if (score > largest) largest = score;
  let sum = 0;
  for (let i = 0; i < out.length; i++) sum += out[i] = largest === -Infinity ? 0 : Math.exp(out[i] - largest);
  for (let i = 0; i < out.length; i++) out[i] = sum ? out[i] / sum : 0;
  return out;
}

/** The same candidates at another temperature: p^(1/T), made to add up to one again. */
export function retemper(probabilities: ArrayLike<number>, temperature: number): Float32Array {
  return softmax(Array.from(probabilities, (p) => Math.log(p) / temperature));
}
