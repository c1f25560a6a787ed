/** Put off drawing until an element comes into sight, and then a little in each frame: pages with 1,000 heads stay quick. */

const waiting = new Set<() => void>();
let running = false;
const FRAME = 12;

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

/** Run `draw` once `element` is in sight; what is returned calls it off. */
export function whenSeen(element: Element, draw: () => void): () => void {
  const eye = new IntersectionObserver(
    ([entry]) => {
      if (!entry.isIntersecting) return;
      eye.disconnect();
      waiting.add(draw);
      if (!running) requestAnimationFrame(work);
      running = true;
    },
    { rootMargin: "200px" },
  );
  eye.observe(element);
  return () => {
    eye.disconnect();
    waiting.delete(draw);
  };
}
