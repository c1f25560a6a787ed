/** Which entries hold the given share of a row's sum, largest first: the mask that DINO's figures show (arXiv:2104.14294, figure 3). */
export function keepMass(row: Float32Array, share: number): Uint8Array {
  const order = Array.from(row.keys()).sort((a, b) => row[b] - row[a]);
  const goal = share * row.reduce((sum, weight) => sum + weight, 0);
  const kept = new Uint8Array(row.length);
  let sum = 0;
  for (const i of order) {
    if (row[i] <= 0 || sum >= goal * (1 - 1e-6)) break;
    kept[i] = 1;
    sum += row[i];
  }
  return kept;
}
