/** Put off drawing until an element comes into sight, and then a little in each frame: pages with 1,000 heads stay quick. */

const waiting = new Set<() => void>();
let running = false;
const FRAME = 8;

function work(): void {
  const start = performance.now();
  for (const task of waiting) {
    waiting.delete(task);
    task();
    if (performance.now() - start > FRAME) break;
  }
  running = waiting.size > 0;
  if (running) requestAnimationFrame(work);
}

const drawings = new Map<Element, () => void>();
const eye =
  typeof IntersectionObserver === "undefined" ? null : new IntersectionObserver((entries) => entries.forEach(meet), { rootMargin: "200px" });

function meet({ isIntersecting, target }: IntersectionObserverEntry): void {
  const draw = drawings.get(target);
  if (!isIntersecting || !draw) return;
  drawings.delete(target);
  eye!.unobserve(target);
  waiting.add(draw);
  if (!running) requestAnimationFrame(work);
  running = true;
}

/** Run `draw` once `element` is in sight; what is returned calls it off. */
export function whenSeen(element: Element, draw: () => void): () => void {
  drawings.set(element, draw);
  eye!.observe(element);
  return () => {
    eye!.unobserve(element);
    drawings.delete(element);
    waiting.delete(draw);
  };
}
