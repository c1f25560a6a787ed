/** The Python that makes a view again. */

import { headNumber } from "./describe";
import { MEAN, type MapInfo, type Trace } from "./trace";

/** What ran the model, and the line that gives the weights of the head that is shown. */
export function pythonFor(trace: Trace, map: MapInfo, head: number, more = ""): string {
  const kind = trace.maps.some((other) => other.layer === map.layer && other.kind !== map.kind) ? `, kind="${map.kind}"` : "";
  const which = head === MEAN ? "" : `, head=${headNumber(map, head)}`;
  const about = head === MEAN ? "every head; the page shows their mean" : `${map.rows} x ${map.columns}`;
  return `${trace.code.trimEnd()}\nweights = seen.weights(${map.layer}${which}${kind})  # ${about}\n${more}`;
}
